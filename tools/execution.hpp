// Runs an operation's kernel once or several times, on a GPU or on the CPU, on arguments whose
// buffers lie in host memory. Works for every operation: which buffers there are comes from its
// definition.
#pragma once

#include <fourge/device.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/runtime.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/report.hpp"

namespace fourge::tools {

// The target that host execution generates for when none is asked for. All give the same bits.
inline constexpr const char* kHostTarget = "sm_90a";

// Where to run: a device of this machine, or nothing for host execution.
using Place = std::optional<DeviceInfo>;

// asked: "auto" (the first GPU that can run it, else the CPU), "gpu", "host", or a device's number.
// With a target, the device must be able to run it. Throws Error(unsupported) that says what is
// there instead, Error(invalid_argument) for any other word. option: where the user said it, for the messages.
struct PlaceOption {
  const char* name = "--device";
  bool host = true;  // may be the CPU
};
Place choose_place(const std::string& asked, const std::optional<Target>& target,
                   const PlaceOption& option = {});

std::string describe(const Place& place);

struct Execution {
  Origin origin = Origin::compiled;
  std::string key;                                 // of the cubin; empty for host execution
  std::chrono::nanoseconds build{};                // look-up, or compile and publish
  std::chrono::nanoseconds load{};                 // into the driver; host: part of build
  std::chrono::nanoseconds copy_in{};              // zero on the CPU
  std::chrono::nanoseconds copy_out{};             // zero on the CPU
  std::vector<std::chrono::nanoseconds> launches;  // GPU: between events on the stream

  std::chrono::nanoseconds median_launch() const;
  Json to_json() const;
};

// args: the op's argument struct with host pointers; what the kernel writes is there afterwards.
Execution execute(Runtime& runtime, const KernelSpec& spec, const Place& place,
                  std::span<const std::byte> args, int repeat);

}  // namespace fourge::tools
