// Manifests, states of a server, kernels that come later.
#include <fourge/c_serving.h>
#include <fourge/manifest.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "runtime/c_api/boundary.hpp"
#include "runtime/c_api/handles.hpp"

struct fourge_pending {
  std::shared_ptr<fourge::Runtime> runtime;
  fourge::PendingKernel kernel;
};

namespace fourge::c_api {
namespace {

static_assert(static_cast<int>(Preparation::device) == FOURGE_PREPARE_DEVICE &&
              static_cast<int>(Preparation::build) == FOURGE_PREPARE_BUILD &&
              static_cast<int>(Preparation::host) == FOURGE_PREPARE_HOST);
static_assert(static_cast<int>(FreezePolicy::refuse) == FOURGE_FREEZE_REFUSE &&
              static_cast<int>(FreezePolicy::warn_and_compile) == FOURGE_FREEZE_WARN_AND_COMPILE &&
              static_cast<int>(FreezePolicy::fallback) == FOURGE_FREEZE_FALLBACK);

constexpr std::size_t kFailuresTold = 5;

// Within an enumeration of C, 0 to the last.
void check_choice(std::int32_t value, std::int32_t last, const char* function, const char* name) {
  if (value < 0 || value > last) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: {} is {}; known are 0 to {}", function, name, value, last));
  }
}

[[noreturn]] void throw_failures(const PrepareReport& report) {
  std::string message =
      fmt::format("{} of {} kernels of the manifest could not be prepared", report.failures.size(),
                  report.failures.size() + report.prepared);
  for (std::size_t i = 0; i < std::min(report.failures.size(), kFailuresTold); ++i) {
    const PrepareFailure& failure = report.failures[i];
    message += fmt::format("\n{}: {}", failure.spec.text(), failure.message);
  }
  throw Error(report.failures.front().kind, message);
}

void prepare_all(Runtime& runtime, const Manifest& manifest, std::int32_t where,
                 fourge_prepare_report* report, const char* function) {
  check_choice(where, FOURGE_PREPARE_HOST, function, "where");
  PrepareAllOptions options;
  options.where = static_cast<Preparation>(where);
  const PrepareReport result = runtime.prepare_all(manifest, options);
  if (report != nullptr) {
    const fourge_prepare_report c{sizeof(c), result.prepared, result.compiled,
                                  result.failures.size()};
    write_sized(&c, sizeof(c), report, function);
  }
  if (!result.ok()) {
    throw_failures(result);
  }
}

}  // namespace
}  // namespace fourge::c_api

using fourge::c_api::guarded;
using fourge::c_api::require;

extern "C" {

fourge_status fourge_prepare_all(fourge_runtime* runtime, const char* manifest, int32_t where,
                                 fourge_prepare_report* report, fourge_error** error) {
  return guarded(error, [&] {
    require(runtime, "fourge_prepare_all", "runtime");
    require(manifest, "fourge_prepare_all", "manifest");
    fourge::c_api::prepare_all(*runtime->runtime, fourge::Manifest::parse(manifest), where, report,
                               "fourge_prepare_all");
  });
}

fourge_status fourge_prepare_all_of_file(fourge_runtime* runtime, const char* path, int32_t where,
                                         fourge_prepare_report* report, fourge_error** error) {
  return guarded(error, [&] {
    require(runtime, "fourge_prepare_all_of_file", "runtime");
    require(path, "fourge_prepare_all_of_file", "path");
    fourge::c_api::prepare_all(*runtime->runtime, fourge::Manifest::load(path), where, report,
                               "fourge_prepare_all_of_file");
  });
}

fourge_status fourge_freeze(fourge_runtime* runtime, int32_t policy, fourge_error** error) {
  return guarded(error, [&] {
    require(runtime, "fourge_freeze", "runtime");
    fourge::c_api::check_choice(policy, FOURGE_FREEZE_FALLBACK, "fourge_freeze", "policy");
    runtime->runtime->freeze(static_cast<fourge::FreezePolicy>(policy));
  });
}

fourge_status fourge_thaw(fourge_runtime* runtime, fourge_error** error) {
  return guarded(error, [&] {
    require(runtime, "fourge_thaw", "runtime");
    runtime->runtime->thaw();
  });
}

fourge_status fourge_serving_status(const fourge_runtime* runtime, fourge_serving* serving,
                                    fourge_error** error) {
  return guarded(error, [&] {
    require(runtime, "fourge_serving_status", "runtime");
    require(serving, "fourge_serving_status", "serving");
    const fourge::ServingStatus status = runtime->runtime->serving();
    fourge_serving c{};
    c.size = sizeof(c);
    c.preparing = status.preparing ? 1 : 0;
    c.ready = status.ready ? 1 : 0;
    c.frozen = status.frozen ? 1 : 0;
    c.policy = static_cast<std::int32_t>(status.policy);
    c.done = status.done;
    c.failed = status.failed;
    c.total = status.total;
    c.pending = status.pending;
    c.stand_ins = status.stand_ins;
    c.frozen_misses = status.frozen_misses;
    fourge::c_api::write_sized(&c, sizeof(c), serving, "fourge_serving_status");
  });
}

int fourge_kernel_is_fallback(const fourge_kernel* kernel) {
  return kernel != nullptr && !(kernel->kernel.running() == kernel->kernel.spec()) ? 1 : 0;
}

fourge_status fourge_prepare_async(fourge_runtime* runtime, const char* spec,
                                   fourge_pending** pending, fourge_error** error) {
  return guarded(error, [&] {
    require(runtime, "fourge_prepare_async", "runtime");
    require(spec, "fourge_prepare_async", "spec");
    require(pending, "fourge_prepare_async", "pending");
    const auto parsed = fourge::c_api::parse_for_device(*runtime->runtime, spec);
    *pending = new fourge_pending{runtime->runtime, runtime->runtime->prepare_async(parsed)};
  });
}

fourge_status fourge_pending_wait(const fourge_pending* pending, int64_t milliseconds,
                                  int32_t* ready, fourge_error** error) {
  return guarded(error, [&] {
    require(pending, "fourge_pending_wait", "pending");
    require(ready, "fourge_pending_wait", "ready");
    constexpr std::int64_t kMost = 1'000'000'000;  // no overflow in nanoseconds
    if (milliseconds < 0) {
      pending->kernel.wait();
      *ready = 1;
    } else {
      const std::chrono::milliseconds time(std::min(milliseconds, kMost));
      *ready = pending->kernel.wait_for(time) ? 1 : 0;
    }
  });
}

fourge_status fourge_pending_get(const fourge_pending* pending, fourge_kernel** kernel,
                                 fourge_error** error) {
  return guarded(error, [&] {
    require(pending, "fourge_pending_get", "pending");
    require(kernel, "fourge_pending_get", "kernel");
    const fourge::Kernel result = pending->kernel.get();
    *kernel = new fourge_kernel{pending->runtime, result, result.spec().text()};
  });
}

void fourge_pending_cancel(const fourge_pending* pending) {
  if (pending != nullptr) {
    pending->kernel.cancel();
  }
}

void fourge_pending_free(fourge_pending* pending) { delete pending; }

fourge_status fourge_is_cached(fourge_runtime* runtime, const char* spec, int32_t* cached,
                               fourge_error** error) {
  return guarded(error, [&] {
    require(runtime, "fourge_is_cached", "runtime");
    require(spec, "fourge_is_cached", "spec");
    require(cached, "fourge_is_cached", "cached");
    *cached = runtime->runtime->is_cached(runtime->runtime->parse(spec)) ? 1 : 0;
  });
}

}  // extern "C"
