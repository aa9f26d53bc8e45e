// Targets whose kernels tests execute. The tests choose their targets by these lists, and the table in
// docs/operators.md is made from them; every other target is compiled for and not executed.
#pragma once

#include <fourge/target.hpp>

#include <string_view>
#include <vector>

namespace fourge::tools {

// By host execution: no conversion instructions, E4M3's only, all (emulated).
inline constexpr std::string_view kHostExecuted[] = {"sm_80", "sm_90a", "sm_100a"};

// By tests/gpu on a device, and on which.
struct DeviceExecuted {
  std::string_view target;
  std::string_view device;
};
inline constexpr DeviceExecuted kDeviceExecuted[] = {{"sm_90a", "H200"}};

inline std::vector<Target> host_executed_targets() {
  std::vector<Target> targets;
  for (const std::string_view text : kHostExecuted) {
    targets.push_back(Target::parse(text));
  }
  return targets;
}

// Of the listed ones those that run on a device of this compute capability; where there is none, the
// device's own, which is empty if fourge knows none.
inline std::vector<Target> device_executed_targets(int major, int minor) {
  std::vector<Target> targets;
  for (const DeviceExecuted& entry : kDeviceExecuted) {
    const Target target = Target::parse(entry.target);
    if (target.runs_on(major, minor)) {
      targets.push_back(target);
    }
  }
  if (const auto own = Target::for_device(major, minor); targets.empty() && own) {
    targets.push_back(*own);
  }
  return targets;
}

}  // namespace fourge::tools
