#include <fourge/comm.hpp>

#include "runtime/comm/algorithm.hpp"
#include "runtime/comm/group_state.hpp"

#include <cstddef>
#include <span>

namespace fourge::comm {

class Group::Impl {
 public:
  Impl(Runtime& runtime, const GroupConfig& config) : state(runtime, config) { make_group(state); }

  GroupState state;
};

Group::Group(Runtime& runtime, const GroupConfig& config)
    : impl_(std::make_unique<Impl>(runtime, config)) {}
Group::~Group() = default;

int Group::rank() const noexcept { return impl_->state.config.rank; }
int Group::ranks() const noexcept { return impl_->state.config.ranks; }
Transport Group::transport() const noexcept { return impl_->state.transport; }
const std::string& Group::transport_reason() const noexcept { return impl_->state.reason; }

Algorithm Group::algorithm(std::int64_t rows) const noexcept {
  const GroupState& state = impl_->state;
  return choose_algorithm(state.config.algorithm, state.config.ranks, rows, state.one_shot_rows);
}

void Group::prepare(std::string_view axes) { kernels_of(impl_->state, axes, nullptr); }

void Group::allreduce_rmsnorm_quantize(const AllreduceRmsnormQuantizeArgs& args,
                                       std::string_view axes, CUstream_st* stream,
                                       const LaunchOptions& options) {
  call(impl_->state, args, axes, stream, options);
}

void Group::check() const { check_report(impl_->state); }

GroupStats Group::stats() const noexcept {
  const GroupState& state = impl_->state;
  return {state.one_shot_calls.load(), state.two_shot_calls.load(), state.nccl_calls.load()};
}

void Group::close() {
  GroupState& state = impl_->state;
  if (state.closed.exchange(true)) return;
  state.peers.clear();
  const std::byte done{1};
  state.config.all_gather(std::span(&done, 1));
  state.nccl.reset();
  state.own.reset();
}

}  // namespace fourge::comm
