// The search for the fastest launch configuration of a call.
#pragma once

#include <fourge/kernel_spec.hpp>
#include <fourge/launch_choice.hpp>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "runtime/tuning/tuning_record.hpp"

namespace fourge::tools {

// Microseconds of one call of a variant. Throws Error(invalid_argument) for one that does not take the call.
using CallTimer = std::function<double(const KernelSpec& variant)>;

struct TunedVariant {
  KernelSpec spec;
  double microseconds = 0;  // the best of its turns; of a refused one 0
  std::string refused;      // why it does not take the call; empty if it does
};

struct TunedCall {
  CallShape shape;
  KernelSpec by_rule;                  // choose_launch()'s
  std::vector<TunedVariant> variants;  // launch_candidates(), in their order
  std::size_t winner = 0;              // index; ties go to by_rule, then to the first

  const TunedVariant& best() const { return variants[winner]; }
};

// Turns go round all variants, so that a device that warms up or is disturbed treats them alike; what counts
// is each one's best. by_rule loses only to what is faster by more than kTuningMargin. Throws
// Error(invalid_spec) for an operation without a choice, Error(invalid_argument) if no variant takes the call;
// other errors of the timer pass on.
inline constexpr double kTuningMargin = 0.01;
TunedCall tune_call(const KernelSpec& spec, const CallShape& shape, const DeviceFacts& device,
                    std::size_t turns, const CallTimer& timer);

// What is kept of it, for a device of this name.
TuningRecord record_of(const TunedCall& call, const std::string& device_name,
                       const TuningBasis& basis);

}  // namespace fourge::tools
