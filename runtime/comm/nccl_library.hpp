// libnccl.so.2 at run time. Nothing links it and its header is not needed: the few entry points used have
// had these signatures since NCCL 2.10 (bfloat16) and are declared here. The library stays open as long
// as the process: it has threads of its own.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

struct CUstream_st;

namespace fourge::comm {

struct NcclUniqueId {
  char internal[128];
};
using NcclCommunicator = void*;

// NCCL's numbers.
inline constexpr int kNcclSuccess = 0;
inline constexpr int kNcclSum = 0;
inline constexpr int kNcclFloat16 = 6;
inline constexpr int kNcclBfloat16 = 9;

class NcclLibrary {
 public:
  // Throws Error(library_missing) that names what was searched and what the loader said.
  static std::shared_ptr<const NcclLibrary> load(const std::string& path);

  NcclLibrary(const NcclLibrary&) = delete;
  NcclLibrary& operator=(const NcclLibrary&) = delete;

  // Throws Error(driver) with NCCL's text unless the result is success.
  void check(int result, std::string_view call) const;

  int (*get_unique_id)(NcclUniqueId* id) = nullptr;
  int (*comm_init_rank)(NcclCommunicator* communicator, int ranks, NcclUniqueId id,
                        int rank) = nullptr;
  int (*all_reduce)(const void* send, void* receive, std::size_t count, int type, int operation,
                    NcclCommunicator communicator, CUstream_st* stream) = nullptr;
  int (*comm_count)(NcclCommunicator communicator, int* count) = nullptr;
  int (*comm_user_rank)(NcclCommunicator communicator, int* rank) = nullptr;
  int (*comm_destroy)(NcclCommunicator communicator) = nullptr;
  int (*comm_abort)(NcclCommunicator communicator) = nullptr;
  const char* (*get_error_string)(int result) = nullptr;

 private:
  NcclLibrary() = default;
};

}  // namespace fourge::comm
