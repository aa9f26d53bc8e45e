#include <fmt/format.h>

#include <fourge/error.hpp>
#include <fourge/kernel.hpp>

#include "runtime/driver/kernel_state.hpp"

namespace fourge {
namespace {

// The refusals build their texts out of line: the launch path itself allocates nothing.
[[noreturn]] void refuse_args(const detail::KernelState& state, std::string_view op,
                              std::size_t size) {
  throw Error(
      ErrorKind::invalid_argument,
      fmt::format("{} was launched with arguments of {} ({} bytes); expected those of {} ({} "
                  "bytes, not null)",
                  state.text, op, size, state.spec.op().name, state.spec.op().args_size));
}

[[noreturn]] void refuse_dependent_launch(const detail::KernelState& state) {
  throw Error(ErrorKind::unsupported,
              fmt::format("{}: target {} has no programmatic dependent launch (sm_90 and later "
                          "have); launch without it",
                          state.text, state.spec.target().text()));
}

// Of the current context's device. Refuses one that the kernel does not run on, and no context.
int multiprocessors_here(const detail::KernelState& state) {
  CUdevice device = 0;
  if (state.driver->cuCtxGetDevice(&device) != CUDA_SUCCESS) {
    device = detail::current_device(*state.driver, state.text);  // says why
  }
  if (device < 0 || device >= detail::kMaxDevices ||
      !state.devices[static_cast<std::size_t>(device)].runs) {
    detail::require_device(state, device);
  }
  return state.devices[static_cast<std::size_t>(device)].multiprocessors;
}

}  // namespace

const KernelSpec& Kernel::spec() const noexcept { return state_->spec; }

const KernelSpec& Kernel::running() const noexcept {
  return state_->active.load(std::memory_order_acquire)->spec;
}

void Kernel::launch_args(std::string_view op, const void* args, std::size_t size,
                         CUstream_st* stream, const LaunchOptions& options) const {
  const detail::KernelState& state = *state_->active.load(std::memory_order_acquire);
  const detail::LaunchPlan& plan = state.plan;
  // Usually the same characters, not only equal ones.
  const std::string_view name = state.spec.op().name;
  const bool same = op.data() == name.data() && op.size() == name.size();
  if ((!same && op != name) || size != plan.args_size || args == nullptr) {
    refuse_args(state, op, size);
  }
  plan.check_args(state.spec, args);
  if (options.programmatic_dependent_launch && !state.spec.target().features().grid_dependency) {
    refuse_dependent_launch(state);
  }

  const bool uniform = plan.uniform_multiprocessors != 0;
  const DeviceFacts facts{uniform ? plan.uniform_multiprocessors : multiprocessors_here(state)};
  const LaunchShape shape = plan.launch_shape(state.spec, args, facts);
  if (shape.empty) {
    if (uniform) multiprocessors_here(state);
    return;
  }

  // The driver copies the parameters during the call. The struct has them where the kernel has, which was
  // checked when it was loaded: one buffer, which costs less than a pointer to each.
  std::size_t param_bytes = plan.param_bytes;
  void* params[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, const_cast<void*>(args),
                    CU_LAUNCH_PARAM_BUFFER_SIZE, &param_bytes, CU_LAUNCH_PARAM_END};

  CUlaunchAttribute attributes[2];
  CUlaunchConfig config = {};
  config.gridDimX = shape.grid[0];
  config.gridDimY = shape.grid[1];
  config.gridDimZ = shape.grid[2];
  config.blockDimX = shape.block[0];
  config.blockDimY = shape.block[1];
  config.blockDimZ = shape.block[2];
  config.sharedMemBytes = shape.dynamic_shared_bytes;
  config.hStream = stream;
  if (options.programmatic_dependent_launch) {
    CUlaunchAttribute& attribute = attributes[config.numAttrs++];
    attribute = {};
    attribute.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
    attribute.value.programmaticStreamSerializationAllowed = 1;
  }
  if (shape.cluster > 1) {
    CUlaunchAttribute& attribute = attributes[config.numAttrs++];
    attribute = {};
    attribute.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
    attribute.value.clusterDim.x = shape.cluster;
    attribute.value.clusterDim.y = 1;
    attribute.value.clusterDim.z = 1;
  }
  config.attrs = config.numAttrs == 0 ? nullptr : attributes;
  unsigned long long context = 0;
  const bool at_home =
      plan.context_id(nullptr, &context) == CUDA_SUCCESS && context == plan.home_context;
  // The driver takes a CUkernel where it takes a CUfunction and finds the current context's own.
  const CUfunction function =
      at_home ? plan.home_function : reinterpret_cast<CUfunction>(state.kernel);
  const CUresult result = plan.launch(&config, function, nullptr, params);
  if (result != CUDA_SUCCESS) {
    multiprocessors_here(state);  // says so if it is the context
    state.driver->fail(result, "cuLaunchKernelEx", state.text);
  }
}

}  // namespace fourge
