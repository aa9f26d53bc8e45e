#include <fmt/format.h>

#include <algorithm>
#include <fourge/error.hpp>
#include <string>

#include "runtime/cubin_check.hpp"
#include "runtime/driver/capture.hpp"
#include "runtime/driver/kernel_state.hpp"

namespace fourge::detail {
namespace {

// What a CTA gets without asking, static and dynamic together.
constexpr std::uint32_t kDefaultSharedBytes = 48 * 1024;

int attribute(const Driver& driver, CUdevice_attribute which, CUdevice device) {
  int value = 0;
  driver.check(driver.cuDeviceGetAttribute(&value, which, device), "cuDeviceGetAttribute");
  return value;
}

[[noreturn]] void fail_param(const KernelSpec& spec, std::size_t index, std::size_t offset,
                             std::size_t size) {
  const Param& param = spec.op().params[index];
  throw Error(ErrorKind::internal,
              fmt::format("parameter {} ({}) of {}: expected {} bytes at offset {}, found {} bytes "
                          "at offset {} in the loaded kernel",
                          index, param.name, spec.text(), param.size, param.offset, size, offset));
}

[[noreturn]] void fail_param_count(const KernelSpec& spec, std::string_view found) {
  throw Error(ErrorKind::internal, fmt::format("the entry of {} has {} parameters; expected {}",
                                               spec.text(), found, spec.op().params.size()));
}

// The cubin's parameters were checked by its own tables; this is the driver's word, where it can
// give it. It is not asked for one parameter more: a call that must fail would show as an error in
// the driver's tools.
void check_driver_params(const Driver& driver, const KernelState& state) {
  if (driver.cuKernelGetParamInfo == nullptr) return;
  const auto params = state.spec.op().params;
  std::size_t offset = 0;
  std::size_t size = 0;
  for (std::size_t i = 0; i < params.size(); ++i) {
    const CUresult result = driver.cuKernelGetParamInfo(state.kernel, i, &offset, &size);
    if (result == CUDA_ERROR_INVALID_VALUE) fail_param_count(state.spec, std::to_string(i));
    driver.check(result, "cuKernelGetParamInfo", state.text);
    if (offset != params[i].offset || size != params[i].size) {
      fail_param(state.spec, i, offset, size);
    }
  }
}

DeviceSlot read_device(const Driver& driver, CUdevice device, Target target) {
  DeviceSlot slot;
  slot.present = true;
  slot.major = attribute(driver, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
  slot.minor = attribute(driver, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
  slot.multiprocessors = attribute(driver, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device);
  slot.runs = target.runs_on(slot.major, slot.minor);
  return slot;
}

std::array<DeviceSlot, kMaxDevices> read_devices(const Driver& driver, Target target) {
  std::array<DeviceSlot, kMaxDevices> slots{};
  int count = 0;
  driver.check(driver.cuDeviceGetCount(&count), "cuDeviceGetCount");
  for (int ordinal = 0; ordinal < count && ordinal < kMaxDevices; ++ordinal) {
    CUdevice device = 0;
    driver.check(driver.cuDeviceGet(&device, ordinal), "cuDeviceGet");
    if (device < 0 || device >= kMaxDevices) continue;
    slots[static_cast<std::size_t>(device)] = read_device(driver, device, target);
  }
  return slots;
}

int common_multiprocessors(const Driver& driver,
                           const std::array<DeviceSlot, kMaxDevices>& devices) {
  int count = 0;
  driver.check(driver.cuDeviceGetCount(&count), "cuDeviceGetCount");
  int present = 0;
  int common = 0;
  for (const DeviceSlot& slot : devices) {
    if (!slot.present) continue;
    ++present;
    if (!slot.runs || (common != 0 && slot.multiprocessors != common)) return 0;
    common = slot.multiprocessors;
  }
  return present == count ? common : 0;
}

void raise_shared_limit(const Driver& driver, const KernelState& state,
                        const jit::CubinKernel& kernel, std::uint32_t needed) {
  if (needed + kernel.static_shared_bytes <= kDefaultSharedBytes) return;
  for (int device = 0; device < kMaxDevices; ++device) {
    if (!state.devices[static_cast<std::size_t>(device)].runs) continue;
    const int most =
        attribute(driver, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, device);
    if (needed + kernel.static_shared_bytes > static_cast<std::uint64_t>(most)) {
      throw Error(ErrorKind::unsupported,
                  fmt::format("{} needs {} bytes of shared memory per CTA; device {} has {}",
                              state.text, needed + kernel.static_shared_bytes, device, most));
    }
    driver.check(driver.cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                             static_cast<int>(needed), state.kernel, device),
                 "cuKernelSetAttribute", state.text);
  }
}

// Into the current context, now. Its function there.
CUfunction load_function(const KernelState& state) {
  const Driver& driver = *state.driver;
  current_device(driver, state.text);
  CUfunction function = nullptr;
  driver.check(driver.cuKernelGetFunction(&function, state.kernel), "cuKernelGetFunction",
               state.text);
  if (driver.cuFuncLoad != nullptr) {
    driver.check(driver.cuFuncLoad(function), "cuFuncLoad", state.text);
    return function;
  }
  // Before CUDA 12.4 asking for an attribute is what makes the driver load the function.
  int unused = 0;
  driver.check(driver.cuFuncGetAttribute(&unused, CU_FUNC_ATTRIBUTE_NUM_REGS, function),
               "cuFuncGetAttribute", state.text);
  return function;
}

LaunchPlan plan_launches(const KernelState& state, CUfunction function) {
  const Driver& driver = *state.driver;
  const OpDefinition& op = state.spec.op();
  LaunchPlan plan;
  plan.launch = driver.cuLaunchKernelEx;
  plan.context_id = driver.cuCtxGetId;
  plan.check_args = op.check_args;
  plan.launch_shape = op.launch_shape;
  driver.check(driver.cuCtxGetId(nullptr, &plan.home_context), "cuCtxGetId", state.text);
  plan.home_function = function;
  plan.args_size = static_cast<std::uint32_t>(op.args_size);
  for (const Param& param : op.params) {
    plan.param_bytes =
        std::max(plan.param_bytes, static_cast<std::uint32_t>(param.offset + param.size));
  }
  plan.uniform_multiprocessors = common_multiprocessors(driver, state.devices);
  return plan;
}

}  // namespace

Library::~Library() {
  // Nothing can be done about a failure; CUDA_ERROR_DEINITIALIZED at process exit is the usual one.
  if (library_ == nullptr) return;
  const RelaxedCapture relaxed(*driver_);
  driver_->cuLibraryUnload(library_);
}

CUdevice current_device(const Driver& driver, std::string_view context) {
  CUdevice device = 0;
  const CUresult result = driver.cuCtxGetDevice(&device);
  if (result == CUDA_ERROR_INVALID_CONTEXT) {
    throw Error(ErrorKind::unsupported,
                fmt::format("{}: the calling thread has no current CUDA context. Make one current "
                            "first (cuCtxSetCurrent, cudaSetDevice and a CUDA call, or "
                            "fourge::DeviceContext)",
                            context));
  }
  driver.check(result, "cuCtxGetDevice", context);
  return device;
}

DeviceModel current_device_model(const Driver& driver, std::string_view context) {
  const CUdevice device = current_device(driver, context);
  char name[256] = {};
  driver.check(driver.cuDeviceGetName(name, sizeof(name) - 1, device), "cuDeviceGetName", context);
  return {name, attribute(driver, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device)};
}

void require_device(const KernelState& state, CUdevice device) {
  if (device < 0 || device >= kMaxDevices) {
    throw Error(ErrorKind::unsupported, fmt::format("{}: device {} is beyond the {} that are used",
                                                    state.text, device, kMaxDevices));
  }
  const DeviceSlot& slot = state.devices[static_cast<std::size_t>(device)];
  if (slot.runs) return;
  throw Error(ErrorKind::unsupported,
              fmt::format("{}: target {} does not run on device {} of the current context (compute "
                          "capability {}.{}). Prepare a spec for that device's target",
                          state.text, state.spec.target().text(), device, slot.major, slot.minor));
}

Target device_target(const Driver& driver) {
  const CUdevice device = current_device(driver, "the target of the current device was asked for");
  const int major = attribute(driver, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
  const int minor = attribute(driver, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
  if (const auto target = Target::for_device(major, minor)) return *target;
  throw Error(ErrorKind::unsupported,
              fmt::format("device {} has compute capability {}.{}, for which fourge has no target",
                          device, major, minor));
}

void force_load(const KernelState& state) { load_function(state); }

std::unique_ptr<KernelState> load_kernel(std::shared_ptr<const Driver> driver,
                                         const KernelSpec& spec, std::string_view entry_name,
                                         std::span<const std::byte> cubin) {
  const jit::CubinKernel kernel = require_kernel(spec, entry_name, cubin);
  const std::string text = spec.text();
  const RelaxedCapture relaxed(*driver);
  const CUdevice current = current_device(*driver, text);
  const auto devices = read_devices(*driver, spec.target());
  if (current < 0 || current >= kMaxDevices) {
    throw Error(ErrorKind::unsupported, fmt::format("{}: device {} is beyond the {} that are used",
                                                    text, current, kMaxDevices));
  }
  const DeviceSlot& slot = devices[static_cast<std::size_t>(current)];
  if (!slot.runs) {
    throw Error(ErrorKind::unsupported,
                fmt::format("cubin is for {}, but device {} of the current context has compute "
                            "capability {}.{}: prepare a spec for a target that runs on it",
                            spec.target().text(), current, slot.major, slot.minor));
  }

  CUlibrary library = nullptr;
  driver->check(
      driver->cuLibraryLoadData(&library, cubin.data(), nullptr, nullptr, 0, nullptr, nullptr, 0),
      "cuLibraryLoadData", text);
  auto state = std::make_unique<KernelState>(spec, driver, library);
  state->devices = devices;
  const std::string entry(entry_name);
  driver->check(driver->cuLibraryGetKernel(&state->kernel, library, entry.c_str()),
                "cuLibraryGetKernel", text);
  check_driver_params(*driver, *state);
  if (const auto& most = spec.op().max_dynamic_shared; most != nullptr) {
    raise_shared_limit(*driver, *state, kernel, most(spec));
  }
  state->plan = plan_launches(*state, load_function(*state));
  return state;
}

}  // namespace fourge::detail
