// Ending work that nobody wants any more.
#pragma once

#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>

#include <chrono>
#include <stop_token>

namespace fourge {

// How often what waits looks whether it should stop.
inline constexpr std::chrono::milliseconds kStopLook{20};

// Throws Error(cancelled) with the spec's text if a stop was requested.
inline void throw_if_stopped(const std::stop_token& stop, const KernelSpec& spec) {
  if (stop.stop_requested()) {
    throw Error(ErrorKind::cancelled,
                spec.text() + ": the request was cancelled, or its Runtime destroyed");
  }
}

}  // namespace fourge
