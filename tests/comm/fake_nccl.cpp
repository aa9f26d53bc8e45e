#include "tests/comm/fake_nccl.hpp"

#include <cstring>

namespace {

struct UniqueId {
  char internal[128];
};

fourge::tests::FakeNccl& state() {
  static fourge::tests::FakeNccl fake;
  return fake;
}

using fourge::tests::FakeCommunicator;

}  // namespace

#define EXPORTED __attribute__((visibility("default")))

extern "C" {

EXPORTED fourge::tests::FakeNccl* fake_nccl() { return &state(); }

EXPORTED int ncclGetUniqueId(UniqueId* id) {
  std::memset(id->internal, 0x5A, sizeof(id->internal));
  ++state().ids;
  return 0;
}

EXPORTED int ncclCommInitRank(void** communicator, int ranks, UniqueId id, int rank) {
  if (id.internal[0] != 0x5A || id.internal[127] != 0x5A) ++state().bad_ids;
  if (rank == state().failing_rank) return 3;
  *communicator = new FakeCommunicator{rank, ranks};
  ++state().communicators;
  return 0;
}

EXPORTED int ncclAllReduce(const void* from, void* to, std::size_t count, int type, int operation,
                           void* communicator, void* stream) {
  const std::size_t at = state().call_count++;
  if (at < state().calls.size()) {
    state().calls[at] = {from, to, count, type, operation, communicator, stream};
  }
  return 0;
}

EXPORTED int ncclCommCount(void* communicator, int* count) {
  *count = static_cast<FakeCommunicator*>(communicator)->ranks;
  return 0;
}

EXPORTED int ncclCommUserRank(void* communicator, int* rank) {
  *rank = static_cast<FakeCommunicator*>(communicator)->rank;
  return 0;
}

EXPORTED int ncclCommDestroy(void* communicator) {
  delete static_cast<FakeCommunicator*>(communicator);
  --state().communicators;
  return 0;
}

EXPORTED int ncclCommAbort(void* communicator) { return ncclCommDestroy(communicator); }

EXPORTED const char* ncclGetErrorString(int) { return "words of NCCL"; }

}  // extern "C"
