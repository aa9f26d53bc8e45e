#include "tools/tune/tuner.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/tuning/tuned_choice.hpp"

namespace fourge::tools {
namespace {

void take_turn(TunedVariant& variant, bool first, const CallTimer& timer) {
  if (!variant.refused.empty()) return;
  try {
    const double microseconds = timer(variant.spec);
    if (!std::isfinite(microseconds) || microseconds < 0) {
      throw Error(ErrorKind::internal,
                  fmt::format("{}: timed with {} microseconds", variant.spec.text(), microseconds));
    }
    variant.microseconds = first ? microseconds : std::min(variant.microseconds, microseconds);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::invalid_argument) throw;
    variant.refused = error.what();
  }
}

std::size_t winner_of(const TunedCall& call) {
  std::size_t best = call.variants.size();
  const auto time_of = [&](std::size_t i) {
    const TunedVariant& variant = call.variants[i];
    return variant.spec == call.by_rule ? variant.microseconds * (1 - kTuningMargin)
                                        : variant.microseconds;
  };
  for (std::size_t i = 0; i < call.variants.size(); ++i) {
    if (!call.variants[i].refused.empty()) continue;
    if (best == call.variants.size() || time_of(i) < time_of(best)) best = i;
  }
  if (best == call.variants.size()) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("no variant of {} takes {} rows of {} columns: {}", call.by_rule.text(),
                            call.shape.rows, call.shape.cols, call.variants.front().refused));
  }
  return best;
}

}  // namespace

TunedCall tune_call(const KernelSpec& spec, const CallShape& shape, const DeviceFacts& device,
                    std::size_t turns, const CallTimer& timer) {
  if (tuning_choice(spec).empty()) {
    throw Error(ErrorKind::invalid_spec,
                fmt::format("{} has nothing to tune: each of its axes changes the results",
                            spec.op().name));
  }
  TunedCall call{shape, choose_launch(spec, shape, device), {}, 0};
  for (const KernelSpec& variant : launch_candidates(spec, shape)) {
    call.variants.push_back({variant, 0, {}});
  }
  for (std::size_t turn = 0; turn < std::max<std::size_t>(turns, 1); ++turn) {
    for (TunedVariant& variant : call.variants) take_turn(variant, turn == 0, timer);
  }
  call.winner = winner_of(call);
  return call;
}

TuningRecord record_of(const TunedCall& call, const std::string& device_name,
                       const TuningBasis& basis) {
  const TunedVariant& best = call.best();
  return {tuning_key(best.spec, call.shape, device_name), basis, tuning_choice(best.spec),
          best.microseconds};
}

}  // namespace fourge::tools
