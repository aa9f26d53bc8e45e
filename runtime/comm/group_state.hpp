// What a group has.
#pragma once

#include <fourge/comm.hpp>
#include <fourge/kernel.hpp>
#include <fourge/target.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/comm/group_context.hpp"
#include "runtime/comm/nccl_reduce.hpp"
#include "runtime/comm/peer_memory.hpp"
#include "runtime/comm/rank_record.hpp"
#include "runtime/driver/driver.hpp"

namespace fourge::comm {

// The kernels of calls with some axes.
struct CallKernels {
  KernelSpec spec;                 // of the operation, or of rmsnorm_quantize
  std::optional<Algorithm> fixed;  // by the axes
  std::optional<Kernel> one_shot;  // Transport::peers
  std::optional<Kernel> two_shot;  // unless one of the two is never taken
  std::optional<Kernel> after;     // Transport::nccl: what follows the sum; none with out=sum
  std::string out;                 // the axis
};

struct GroupState {
  GroupState(Runtime& runtime_given, const GroupConfig& config_given)
      : runtime(&runtime_given), config(config_given) {}

  Runtime* runtime;
  const GroupConfig config;
  std::shared_ptr<const GroupContext> context;
  std::optional<Target> target;
  std::vector<RankRecord> records;
  Transport transport = Transport::peers;
  std::string reason;
  WorkspaceLayout layout;
  std::int64_t one_shot_rows = 0;  // up to here automatic takes one-shot
  int multiprocessors = 0;         // that launches are made for

  // Destroyed in the reverse order: first what is others', then what is this rank's.
  std::optional<OwnMemory> own;
  DeviceMemory control;
  MappedHostMemory report;
  DeviceMemory scratch;  // Transport::nccl: the sum
  DeviceMemory spare;    //   and what results that nobody asked for go to
  DeviceMemory codes;
  std::vector<PeerMemory> peers;
  std::array<void*, kMostRanks> addresses{};  // of all workspaces, as this device sees them
  std::unique_ptr<NcclReduce> nccl;
  std::atomic<bool> closed{false};

  std::atomic<std::uint64_t> one_shot_calls{0};
  std::atomic<std::uint64_t> two_shot_calls{0};
  std::atomic<std::uint64_t> nccl_calls{0};

  std::mutex mutex;  // of kernels
  std::map<std::string, std::unique_ptr<CallKernels>, std::less<>> kernels;

  const Driver& driver() const noexcept { return *context->driver(); }
};

// Fills a state; collective.
void make_group(GroupState& state);

// A call, its preparation, and whether a kernel gave up: Group's members.
CallKernels& kernels_of(GroupState& state, std::string_view axes, CUstream_st* const* stream);
void call(GroupState& state, const AllreduceRmsnormQuantizeArgs& args, std::string_view axes,
          CUstream_st* stream, const LaunchOptions& options);
void check_report(const GroupState& state);

}  // namespace fourge::comm
