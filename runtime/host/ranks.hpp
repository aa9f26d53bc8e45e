// Several emulated devices in one process, for kernels that wait for each other's.
#pragma once

#include <cstdint>
#include <fourge/kernel_spec.hpp>
#include <fourge/op_definition.hpp>
#include <span>
#include <vector>

#include "runtime/host/launch.hpp"

namespace fourge::host {

// One launch of a device's stream.
struct RankCall {
  const HostFunction* function;  // of this spec, or a changed form of it
  KernelSpec spec;
  std::vector<std::byte> args;  // the op's argument struct
};

struct RankSchedule {
  // Who goes on, and when stores arrive: the same seed gives the same run.
  std::uint64_t seed = 1;
  int slow_rank = -1;  // this one hardly ever goes on while others can
  // More turns than this are taken for a run without an end.
  std::uint64_t most_turns = 20'000'000;
};

// Each rank's calls run in their order, one at a time; ranks run side by side. All blocks of all calls
// under way are alive and take turns on the calling OS thread: one runs at a time, and hands over at random
// among its accesses to memory that ranks share (fourge_host::Hooks::system_store and its like) and its
// barriers. Stores to such memory stay on their way for a random time, each by itself, some vectors word by word, in
// any order; a
// release waits for those that it is ordered after, and the end of a kernel for all of its own. The clock
// counts accesses.
//
// Grids have one dimension. Throws what the op's check_args does, before anything runs, and Error(internal)
// if a kernel does what it may not, or after most_turns. No other call of this process must use the buffers
// meanwhile.
void run_ranks(std::span<const std::vector<RankCall>> ranks, const RankSchedule& schedule);

}  // namespace fourge::host
