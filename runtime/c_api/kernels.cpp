// Kernels on the GPU and on the CPU.
#include <fourge/fourge.h>

#include <string_view>

#include "jit/some_target.hpp"
#include "runtime/c_api/boundary.hpp"
#include "runtime/c_api/handles.hpp"

namespace fourge::c_api {
namespace {

// All targets give the same bits in exact mode; this one is what the command takes as well.
constexpr std::string_view kHostTarget = "sm_90a";

}  // namespace

KernelSpec parse_for_device(const Runtime& runtime, std::string_view spec) {
  if (spec.find('@') != std::string_view::npos) {
    return runtime.parse(spec);
  }
  // A bad spec is told before a missing device.
  jit::parse_for_some_target([&](Target target) { return runtime.parse(spec, target); });
  return runtime.parse(spec, runtime.device_target());
}

}  // namespace fourge::c_api

using fourge::c_api::guarded;
using fourge::c_api::require;

extern "C" {

fourge_status fourge_prepare(fourge_runtime* runtime, const char* spec, fourge_kernel** kernel,
                             fourge_error** error) {
  return guarded(error, [&] {
    require(runtime, "fourge_prepare", "runtime");
    require(spec, "fourge_prepare", "spec");
    require(kernel, "fourge_prepare", "kernel");
    const auto parsed = fourge::c_api::parse_for_device(*runtime->runtime, spec);
    *kernel = new fourge_kernel{runtime->runtime, runtime->runtime->prepare(parsed), parsed.text()};
  });
}

fourge_status fourge_prepare_for_stream(fourge_runtime* runtime, const char* spec, void* stream,
                                        fourge_kernel** kernel, fourge_error** error) {
  return guarded(error, [&] {
    require(runtime, "fourge_prepare_for_stream", "runtime");
    require(spec, "fourge_prepare_for_stream", "spec");
    require(kernel, "fourge_prepare_for_stream", "kernel");
    const auto parsed = fourge::c_api::parse_for_device(*runtime->runtime, spec);
    *kernel = new fourge_kernel{
        runtime->runtime, runtime->runtime->prepare(parsed, static_cast<CUstream_st*>(stream)),
        parsed.text()};
  });
}

const char* fourge_kernel_spec(const fourge_kernel* kernel) {
  return kernel == nullptr ? nullptr : kernel->spec.c_str();
}

void fourge_kernel_free(fourge_kernel* kernel) { delete kernel; }

fourge_status fourge_launch(const fourge_kernel* kernel, const char* op, const void* args,
                            size_t size, void* stream, fourge_error** error) {
  return fourge_launch_with(kernel, op, args, size, stream, nullptr, error);
}

fourge_status fourge_launch_with(const fourge_kernel* kernel, const char* op, const void* args,
                                 size_t size, void* stream, const fourge_launch_options* options,
                                 fourge_error** error) {
  return guarded(error, [&] {
    require(kernel, "fourge_launch", "kernel");
    require(op, "fourge_launch", "op");
    fourge::LaunchOptions launch;
    if (options != nullptr) {
      fourge_launch_options known;
      fourge::c_api::read_sized(options, &known, sizeof(known), "fourge_launch_with");
      launch.programmatic_dependent_launch = known.programmatic_dependent_launch != 0;
    }
    kernel->kernel.launch_args(op, args, size, static_cast<CUstream_st*>(stream), launch);
  });
}

fourge_status fourge_prepare_host(fourge_runtime* runtime, const char* spec,
                                  fourge_host_kernel** kernel, fourge_error** error) {
  return guarded(error, [&] {
    require(runtime, "fourge_prepare_host", "runtime");
    require(spec, "fourge_prepare_host", "spec");
    require(kernel, "fourge_prepare_host", "kernel");
    const auto parsed =
        runtime->runtime->parse(spec, fourge::Target::parse(fourge::c_api::kHostTarget));
    *kernel = new fourge_host_kernel{runtime->runtime, runtime->runtime->prepare_host(parsed),
                                     parsed.text()};
  });
}

const char* fourge_host_kernel_spec(const fourge_host_kernel* kernel) {
  return kernel == nullptr ? nullptr : kernel->spec.c_str();
}

fourge_status fourge_launch_host(const fourge_host_kernel* kernel, const char* op, const void* args,
                                 size_t size, fourge_error** error) {
  return guarded(error, [&] {
    require(kernel, "fourge_launch_host", "kernel");
    require(op, "fourge_launch_host", "op");
    require(args, "fourge_launch_host", "args");
    kernel->kernel.launch_args(op, args, size);
  });
}

void fourge_host_kernel_free(fourge_host_kernel* kernel) { delete kernel; }

}  // extern "C"
