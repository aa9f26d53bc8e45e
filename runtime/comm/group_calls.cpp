// What a group's calls launch.
#include <fmt/format.h>

#include <atomic>
#include <cstring>
#include <fourge/error.hpp>
#include <fourge/rmsnorm_quantize.hpp>
#include <utility>

#include "jit/ops/arguments.hpp"
#include "runtime/axis_list.hpp"
#include "runtime/comm/algorithm.hpp"
#include "runtime/comm/group_state.hpp"

namespace fourge::comm {
namespace {

using Args = AllreduceRmsnormQuantizeArgs;

const char* wait_text(WaitKind kind) {
  switch (kind) {
    case WaitKind::one_shot_data:
      return "its rows";
    case WaitKind::input_barrier:
      return "its part of what is to be added";
    case WaitKind::result_barrier:
      return "its sums";
    case WaitKind::none:
      break;
  }
  return "something";
}

KernelSpec spec_of(const GroupState& state, std::string_view axes) {
  std::string all(axes);
  const auto add = [&](std::string_view axis, const std::string& value) {
    if (!names_axis(axes, axis)) all += fmt::format("{}{}={}", all.empty() ? "" : ",", axis, value);
  };
  add("in", state.config.dtype);
  add("ranks", std::to_string(state.config.ranks));
  KernelSpec spec = state.runtime->parse(fmt::format("{}[{}]", Args::kOp, all), *state.target);
  if (spec.get("in") != state.config.dtype ||
      spec.get("ranks") != std::to_string(state.config.ranks)) {
    throw Error(ErrorKind::invalid_spec,
                fmt::format("{}: the group is for in={},ranks={}", spec.text(), state.config.dtype,
                            state.config.ranks));
  }
  return spec;
}

// rmsnorm_quantize with the same axes, as far as it has them.
KernelSpec after_sum(const GroupState& state, const KernelSpec& spec) {
  KernelSpec after(rmsnorm_quantize_op(), *state.target);
  for (const Axis& axis : spec.op().axes) {
    for (const Axis& other : after.op().axes) {
      if (axis.name != other.name || axis.name == "out") continue;
      after.set(axis.name, spec.get(axis.name));
    }
  }
  const std::string_view out = spec.get("out");
  after.set("out", out == "norm" ? "fp8" : out);
  after.set("residual", "add");
  after.check();
  return after;
}

std::unique_ptr<CallKernels> prepare_kernels(GroupState& state, std::string_view axes,
                                             CUstream_st* const* stream) {
  const ContextScope scope(state.driver(), state.context->get());
  const KernelSpec spec = spec_of(state, axes);
  const auto prepare = [&](const KernelSpec& wanted) {
    return stream == nullptr ? state.runtime->prepare(wanted)
                             : state.runtime->prepare(wanted, *stream);
  };
  auto kernels = std::make_unique<CallKernels>(CallKernels{spec, {}, {}, {}, {}, {}});
  kernels->out = spec.get("out");
  if (state.transport == Transport::nccl) {
    if (kernels->out != "sum") kernels->after = prepare(after_sum(state, spec));
    return kernels;
  }
  if (names_axis(axes, "algorithm")) kernels->fixed = parse_algorithm(spec.get("algorithm"));
  const Algorithm wanted = kernels->fixed.value_or(state.config.algorithm);
  for (const Algorithm algorithm : {Algorithm::one_shot, Algorithm::two_shot}) {
    // The calls with the fewest rows and with the most.
    const bool taken =
        choose_algorithm(wanted, state.config.ranks, 1, state.one_shot_rows) == algorithm ||
        choose_algorithm(wanted, state.config.ranks, state.config.max_rows, state.one_shot_rows) ==
            algorithm;
    if (!taken) continue;
    KernelSpec own = spec;
    own.set("algorithm", to_string(algorithm));
    own.check();
    (algorithm == Algorithm::one_shot ? kernels->one_shot : kernels->two_shot) = prepare(own);
  }
  return kernels;
}

void check_shape(const GroupState& state, const Args& args) {
  if (args.rows < 0 || args.rows > state.config.max_rows) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: rows is {}; the group's workspace was made for at most {} "
                            "(GroupConfig::max_rows)",
                            Args::kOp, args.rows, state.config.max_rows));
  }
  if (args.cols != state.config.cols) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: cols is {}; the group was made for {} (GroupConfig::cols)",
                            Args::kOp, args.cols, state.config.cols));
  }
}

void call_peers(GroupState& state, const CallKernels& kernels, const Args& args,
                CUstream_st* stream, const LaunchOptions& options) {
  const Algorithm algorithm = choose_algorithm(kernels.fixed.value_or(state.config.algorithm),
                                               state.config.ranks, args.rows, state.one_shot_rows);
  const bool one_shot = algorithm == Algorithm::one_shot;
  if (one_shot && one_shot_slot_bytes(args.rows, args.cols) > state.layout.slot_bytes) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: rows is {}, more than the one-shot part of the group's workspace "
                            "holds (GroupConfig::one_shot_rows)",
                            Args::kOp, args.rows));
  }
  Args filled = args;
  filled.rank = state.config.rank;
  filled.multiprocessors = state.multiprocessors;
  for (std::size_t rank = 0; rank < state.addresses.size(); ++rank) {
    filled.peers[rank] = state.addresses[rank];
  }
  filled.control = state.control.data();
  filled.report = state.report.device();
  filled.slot_bytes = state.layout.slot_bytes;
  filled.input_offset = state.layout.input_offset;
  filled.input_slot_bytes = state.layout.input_slot_bytes;
  filled.result_offset = state.layout.result_offset;
  filled.workspace_bytes = state.layout.bytes;
  filled.deadline_ns = std::chrono::nanoseconds(state.config.deadline).count();
  (one_shot ? kernels.one_shot : kernels.two_shot)->launch(filled, stream, options);
  ++(one_shot ? state.one_shot_calls : state.two_shot_calls);
}

RmsnormQuantizeArgs args_after(const GroupState& state, const CallKernels& kernels,
                               const Args& args) {
  RmsnormQuantizeArgs after;
  after.x = state.scratch.data();
  after.residual = args.residual;
  after.weight = args.weight;
  after.q = args.q;
  after.scales = args.scales;
  after.token_scales = args.token_scales;
  after.residual_out = args.residual_out;
  after.norm_out = args.norm_out;
  after.scale = args.scale;
  after.scale_value = args.scale_value;
  after.eps = args.eps;
  after.rows = args.rows;
  after.cols = args.cols;
  if (kernels.out == "norm") {
    after.q = static_cast<std::uint8_t*>(state.codes.data());
    after.scale = nullptr;
    after.scale_value = 1.0F;
  }
  // rmsnorm_quantize must write it somewhere.
  if (after.residual_out == nullptr) after.residual_out = state.spare.data();
  return after;
}

void call_nccl(GroupState& state, const CallKernels& kernels, const Args& args, CUstream_st* stream,
               const LaunchOptions& options) {
  // Everything is checked before anything is launched: the other ranks would wait in NCCL.
  jit::check_pointer(kernels.spec, "x", args.x, 32);
  const bool bf16 = state.config.dtype == "bf16";
  if (kernels.out == "sum") {
    jit::check_pointer(kernels.spec, "sum_out", args.sum_out, 16);
    state.nccl->sum(args.x, args.sum_out, args.rows * args.cols, bf16, stream);
  } else {
    const RmsnormQuantizeArgs after = args_after(state, kernels, args);
    kernels.after->spec().op().check_args(kernels.after->spec(), &after);
    state.nccl->sum(args.x, state.scratch.data(), args.rows * args.cols, bf16, stream);
    kernels.after->launch(after, stream, options);
  }
  ++state.nccl_calls;
}

}  // namespace

CallKernels& kernels_of(GroupState& state, std::string_view axes, CUstream_st* const* stream) {
  const std::lock_guard lock(state.mutex);
  const auto known = state.kernels.find(axes);
  if (known != state.kernels.end()) return *known->second;
  auto kernels = prepare_kernels(state, axes, stream);
  return *state.kernels.emplace(std::string(axes), std::move(kernels)).first->second;
}

void call(GroupState& state, const Args& args, std::string_view axes, CUstream_st* stream,
          const LaunchOptions& options) {
  if (state.closed.load(std::memory_order_relaxed)) {
    throw Error(ErrorKind::invalid_argument, "comm::Group: a call after close()");
  }
  check_report(state);
  check_shape(state, args);
  const CallKernels& kernels = kernels_of(state, axes, &stream);
  if (args.rows == 0) return;
  const ContextScope scope(state.driver(), state.context->get());
  state.transport == Transport::nccl ? call_nccl(state, kernels, args, stream, options)
                                     : call_peers(state, kernels, args, stream, options);
}

void check_report(const GroupState& state) {
  if (state.report.host() == nullptr) return;
  auto* const report = static_cast<Report*>(state.report.host());
  // The device writes magic last.
  if (std::atomic_ref(report->magic).load(std::memory_order_acquire) != kReportMagic) return;
  throw Error(
      ErrorKind::peer,
      fmt::format("comm::Group: rank {} waited for rank {} longer than the deadline of {} ms "
                  "(for {}, in its call {}, CTA {}, {} ms). That rank died, stopped, or does "
                  "not make the same calls. Results from that call on are undefined; destroy "
                  "the group on all ranks",
                  state.config.rank, report->rank, state.config.deadline.count(),
                  wait_text(report->kind), report->call, report->cta,
                  report->waited_ns / 1'000'000));
}

}  // namespace fourge::comm
