// A make-believe libnccl.so.2 that notes what is asked of it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>

namespace fourge::tests {

struct FakeNcclCall {
  const void* from = nullptr;
  void* to = nullptr;
  std::size_t count = 0;
  int type = 0;
  int operation = 0;
  void* communicator = nullptr;
  void* stream = nullptr;
};

struct FakeNccl {
  std::atomic<int> ids{0};
  std::atomic<int> communicators{0};  // made and not aborted
  std::atomic<int> failing_rank{-1};  // whose ncclCommInitRank fails
  std::atomic<int> bad_ids{0};        // communicators made with another id than the one given out
  std::array<FakeNcclCall, 64> calls{};
  std::atomic<std::size_t> call_count{0};
};

struct FakeCommunicator {
  int rank = 0;
  int ranks = 0;
};

}  // namespace fourge::tests
