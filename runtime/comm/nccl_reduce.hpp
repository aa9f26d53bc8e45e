// NCCL's all-reduce for a group whose ranks cannot use one another's memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/comm/nccl_library.hpp"

namespace fourge::comm {

class NcclReduce {
 public:
  // Of a communicator that somebody else made and destroys. Throws Error(invalid_argument) if its ranks
  // are not the group's.
  NcclReduce(std::shared_ptr<const NcclLibrary> library, NcclCommunicator given, int rank,
             int ranks);
  // Of one made here. All ranks at once; waits for all of them, without a deadline.
  NcclReduce(std::shared_ptr<const NcclLibrary> library, const NcclUniqueId& id, int rank,
             int ranks);
  // Aborts what was made here, which waits for nobody.
  ~NcclReduce();
  NcclReduce(const NcclReduce&) = delete;
  NcclReduce& operator=(const NcclReduce&) = delete;

  // bf16, else f16.
  void sum(const void* from, void* to, std::int64_t elements, bool bf16, CUstream_st* stream) const;

 private:
  std::shared_ptr<const NcclLibrary> library_;
  NcclCommunicator communicator_ = nullptr;
  bool own_ = false;
};

NcclUniqueId make_nccl_id(const NcclLibrary& library);

}  // namespace fourge::comm
