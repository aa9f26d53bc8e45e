#include "tests/gpu/fake_cuda.hpp"

#include <array>
#include <cstring>

#include "runtime/driver/driver.hpp"
#include "tests/gpu/fake_calls.hpp"
#include "tests/gpu/fake_capture.hpp"
#include "tests/gpu/fake_environment.hpp"

namespace fourge::tests {
namespace {

// Contexts 0..3 are the primary ones of the devices, 4..7 separate ones.
std::array<int, 8> contexts{};
thread_local std::array<CUcontext, 16> stack{};
thread_local std::size_t depth = 0;

CUcontext context_at(std::size_t index) { return reinterpret_cast<CUcontext>(&contexts[index]); }

int device_of(CUcontext context) {
  return static_cast<int>((reinterpret_cast<int*>(context) - contexts.data()) % 4);
}

char kernel_object = 0;
char function_object = 0;

}  // namespace

namespace fake {

FakeCuda& state() {
  static FakeCuda fake;
  return fake;
}

CUcontext current() { return depth == 0 ? nullptr : stack[depth - 1]; }

CUcontext primary_context(CUdevice device) { return context_at(static_cast<std::size_t>(device)); }

CUresult record(const char* name) {
  FakeCuda& fake = state();
  const std::size_t at = fake.call_count++;
  if (at < fake.calls.size()) fake.calls[at] = name;
  const bool here =
      fake.failing_device < 0 || (depth != 0 && device_of(stack[depth - 1]) == fake.failing_device);
  return here && std::strcmp(name, fake.failing) == 0 ? fake.failure : CUDA_SUCCESS;
}

}  // namespace fake

namespace {

using fake::current;
using fake::record;
using fake::state;

// What every entry point does that has no function of its own below.
template <class Function, class Name>
struct Stub;
template <class... Args, class Name>
struct Stub<CUresult (*)(Args...), Name> {
  static CUresult call(Args...) { return record(Name::kText); }
};

CUresult driver_get_version(int* version) {
  RECORD("cuDriverGetVersion");
  *version = state().version;
  return CUDA_SUCCESS;
}

CUresult get_error_name(CUresult error, const char** text) {
  if (error == CUDA_ERROR_UNKNOWN) return CUDA_ERROR_INVALID_VALUE;
  *text = error == CUDA_ERROR_INVALID_IMAGE ? "CUDA_ERROR_INVALID_IMAGE" : "CUDA_ERROR_OTHER";
  return CUDA_SUCCESS;
}

CUresult get_error_string(CUresult error, const char** text) {
  if (error == CUDA_ERROR_UNKNOWN) return CUDA_ERROR_INVALID_VALUE;
  *text = "words about it";
  return CUDA_SUCCESS;
}

CUresult device_get_count(int* count) {
  RECORD("cuDeviceGetCount");
  *count = state().device_count;
  return CUDA_SUCCESS;
}

CUresult device_get(CUdevice* device, int ordinal) {
  RECORD("cuDeviceGet");
  *device = ordinal;
  return CUDA_SUCCESS;
}

CUresult device_get_name(char* name, int size, CUdevice device) {
  RECORD("cuDeviceGetName");
  std::strncpy(name, device == 0 ? "Fake GPU A" : "Fake GPU B", static_cast<std::size_t>(size));
  return CUDA_SUCCESS;
}

CUresult device_get_attribute(int* value, CUdevice_attribute which, CUdevice device) {
  RECORD("cuDeviceGetAttribute");
  const FakeDevice& fake = state().devices[static_cast<std::size_t>(device)];
  switch (which) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *value = fake.major;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      *value = fake.minor;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      *value = fake.multiprocessors;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      *value = fake.shared_optin;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
      *value = 50 << 20;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult device_total_mem(std::size_t* bytes, CUdevice) {
  RECORD("cuDeviceTotalMem");
  *bytes = fake::environment_memory().value_or(std::size_t{140} << 30);
  return CUDA_SUCCESS;
}

CUresult device_get_uuid(CUuuid* uuid, CUdevice device) {
  RECORD("cuDeviceGetUuid");
  for (int i = 0; i < 16; ++i) uuid->bytes[i] = static_cast<char>(0xa0 + i);
  uuid->bytes[3] = static_cast<char>(0xa3 + device * 16);
  return CUDA_SUCCESS;
}

CUresult push(CUcontext context) {
  RECORD("cuCtxPushCurrent");
  if (depth == stack.size()) return CUDA_ERROR_INVALID_CONTEXT;
  stack[depth++] = context;
  return CUDA_SUCCESS;
}

CUresult pop(CUcontext* context) {
  RECORD("cuCtxPopCurrent");
  if (depth == 0) return CUDA_ERROR_INVALID_CONTEXT;
  *context = stack[--depth];
  return CUDA_SUCCESS;
}

CUresult context_create(CUcontext* context, unsigned, CUdevice device) {
  RECORD("cuCtxCreate");
  const std::size_t index = 4 + static_cast<std::size_t>(device);
  *context = context_at(index);
  state().context_ids[index] = state().next_context_id++;
  return push(*context);
}

CUresult get_current(CUcontext* context) {
  RECORD("cuCtxGetCurrent");
  *context = current();
  return CUDA_SUCCESS;
}

CUresult get_id(CUcontext context, unsigned long long* id) {
  RECORD("cuCtxGetId");
  if (context == nullptr) context = current();
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  const auto index = reinterpret_cast<int*>(context) - contexts.data();
  *id = state().context_ids[static_cast<std::size_t>(index)];
  return CUDA_SUCCESS;
}

CUresult context_get_device(CUdevice* device) {
  RECORD("cuCtxGetDevice");
  if (depth == 0) return CUDA_ERROR_INVALID_CONTEXT;
  *device = device_of(stack[depth - 1]);
  return CUDA_SUCCESS;
}

CUresult library_load(CUlibrary* library, const void*, CUjit_option*, void**, unsigned,
                      CUlibraryOption*, void**, unsigned) {
  RECORD_UNSAFE("cuLibraryLoadData");
  ++state().libraries;
  *library = reinterpret_cast<CUlibrary>(&kernel_object);
  return CUDA_SUCCESS;
}

CUresult library_unload(CUlibrary) {
  --state().libraries;
  RECORD_UNSAFE("cuLibraryUnload");
  return CUDA_SUCCESS;
}

CUresult function_load(CUfunction) {
  RECORD_UNSAFE("cuFuncLoad");
  return CUDA_SUCCESS;
}

CUresult stream_create(CUstream* stream, unsigned flags) {
  RECORD("cuStreamCreate");
  return fake::stream_create(state(), current(), stream, flags);
}

CUresult stream_destroy(CUstream stream) {
  RECORD("cuStreamDestroy");
  return fake::stream_destroy(state(), stream);
}

CUresult stream_begin_capture(CUstream stream, CUstreamCaptureMode mode) {
  RECORD("cuStreamBeginCapture");
  return fake::begin_capture(state(), stream, mode);
}

CUresult stream_end_capture(CUstream stream, CUgraph* graph) {
  RECORD("cuStreamEndCapture");
  return fake::end_capture(state(), stream, graph);
}

CUresult stream_is_capturing(CUstream stream, CUstreamCaptureStatus* status) {
  RECORD("cuStreamIsCapturing");
  return fake::is_capturing(state(), current(), stream, status);
}

CUresult exchange_capture_mode(CUstreamCaptureMode* mode) {
  RECORD("cuThreadExchangeStreamCaptureMode");
  return fake::exchange_mode(mode);
}

CUresult library_get_kernel(CUkernel* kernel, CUlibrary, const char* name) {
  RECORD("cuLibraryGetKernel");
  state().kernel_name = std::strlen(name) == 1 ? "one letter" : "several letters";
  *kernel = reinterpret_cast<CUkernel>(&kernel_object);
  return CUDA_SUCCESS;
}

CUresult kernel_get_function(CUfunction* function, CUkernel) {
  RECORD_UNSAFE("cuKernelGetFunction");
  *function = reinterpret_cast<CUfunction>(&function_object);
  return CUDA_SUCCESS;
}

CUresult kernel_get_param_info(CUkernel, std::size_t index, std::size_t* offset,
                               std::size_t* size) {
  RECORD("cuKernelGetParamInfo");
  if (const char* const sizes = fake::environment_parameters(); sizes != nullptr) {
    return fake::environment_parameter(sizes, index, offset, size);
  }
  if (index >= state().param_count) return CUDA_ERROR_INVALID_VALUE;
  *offset = state().params[index].offset;
  *size = state().params[index].size;
  return CUDA_SUCCESS;
}

CUresult kernel_set_attribute(CUfunction_attribute which, int value, CUkernel, CUdevice device) {
  RECORD_UNSAFE("cuKernelSetAttribute");
  if (which != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) return CUDA_ERROR_INVALID_VALUE;
  state().shared_limit[static_cast<std::size_t>(device)] = value;
  return CUDA_SUCCESS;
}

CUresult launch(const CUlaunchConfig* config, CUfunction function, void** params, void** extra) {
  RECORD("cuLaunchKernelEx");
  if (depth == 0) return CUDA_ERROR_INVALID_CONTEXT;
  // One of the two ways to hand over parameters.
  if ((params == nullptr) == (extra == nullptr) || config->numAttrs > 4) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (extra != nullptr &&
      (extra[0] != CU_LAUNCH_PARAM_BUFFER_POINTER || extra[2] != CU_LAUNCH_PARAM_BUFFER_SIZE ||
       extra[4] != CU_LAUNCH_PARAM_END)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  FakeCuda& fake = state();
  const std::size_t at = fake.launch_count++;
  if (at >= fake.launches.size()) return CUDA_SUCCESS;
  FakeLaunch& launch = fake.launches[at];
  launch.config = *config;
  for (unsigned i = 0; i < config->numAttrs; ++i) launch.attributes[i] = config->attrs[i];
  launch.function = function;
  launch.context = current();
  launch.params = extra != nullptr ? extra : params;
  launch.param_bytes = extra != nullptr ? *static_cast<const std::size_t*>(extra[3]) : 0;
  for (std::size_t i = 0; i < fake.param_count; ++i) {
    const FakeParam& param = fake.params[i];
    const void* const from =
        extra != nullptr ? static_cast<const char*>(extra[1]) + param.offset : params[i];
    std::memcpy(launch.values[i].data(), from, param.size);
  }
  return CUDA_SUCCESS;
}

CUresult event_elapsed(float* milliseconds, CUevent, CUevent) {
  RECORD("cuEventElapsedTime");
  *milliseconds = 1.0F;
  return CUDA_SUCCESS;
}

struct Entry {
  const char* name;
  void* function;
};

template <class Function>
void* address(Function* function) {
  return reinterpret_cast<void*>(function);
}

void* find_own(const char* name) {
  const Entry own[] = {
      {"cuDriverGetVersion", address(driver_get_version)},
      {"cuGetErrorName", address(get_error_name)},
      {"cuGetErrorString", address(get_error_string)},
      {"cuDeviceGetCount", address(device_get_count)},
      {"cuDeviceGet", address(device_get)},
      {"cuDeviceGetName", address(device_get_name)},
      {"cuDeviceGetAttribute", address(device_get_attribute)},
      {"cuDeviceTotalMem", address(device_total_mem)},
      {"cuDeviceGetUuid", address(device_get_uuid)},
      {"cuCtxPushCurrent", address(push)},
      {"cuCtxPopCurrent", address(pop)},
      {"cuCtxCreate", address(context_create)},
      {"cuCtxGetCurrent", address(get_current)},
      {"cuCtxGetDevice", address(context_get_device)},
      {"cuCtxGetId", address(get_id)},
      {"cuFuncLoad", address(function_load)},
      {"cuStreamCreate", address(stream_create)},
      {"cuStreamDestroy", address(stream_destroy)},
      {"cuStreamBeginCapture", address(stream_begin_capture)},
      {"cuStreamEndCapture", address(stream_end_capture)},
      {"cuStreamIsCapturing", address(stream_is_capturing)},
      {"cuThreadExchangeStreamCaptureMode", address(exchange_capture_mode)},
      {"cuLibraryLoadData", address(library_load)},
      {"cuLibraryUnload", address(library_unload)},
      {"cuLibraryGetKernel", address(library_get_kernel)},
      {"cuKernelGetFunction", address(kernel_get_function)},
      {"cuKernelGetParamInfo", address(kernel_get_param_info)},
      {"cuKernelSetAttribute", address(kernel_set_attribute)},
      {"cuLaunchKernelEx", address(launch)},
      {"cuEventElapsedTime", address(event_elapsed)},
  };
  for (const Entry& entry : own) {
    if (std::strcmp(entry.name, name) == 0) return entry.function;
  }
  void* const primary = fake::find_primary_call(name);
  return primary != nullptr ? primary : fake::find_memory_call(name);
}

#define NAME_TAG(name, version, need)           \
  struct Name_##name {                          \
    static constexpr const char* kText = #name; \
  };
FOURGE_DRIVER_FUNCTIONS(NAME_TAG)

void* find_stub(const char* name) {
#define STUB_ENTRY(name, version, need) \
  {#name, address(Stub<PFN_##name##_v##version, Name_##name>::call)},
  const Entry stubs[] = {FOURGE_DRIVER_FUNCTIONS(STUB_ENTRY)};
  for (const Entry& entry : stubs) {
    if (std::strcmp(entry.name, name) == 0) return entry.function;
  }
  return nullptr;
}

}  // namespace
}  // namespace fourge::tests

extern "C" {

__attribute__((visibility("default"))) fourge::tests::FakeCuda* fake_cuda() {
  return &fourge::tests::state();
}

__attribute__((visibility("default"))) CUresult fake_get_proc_address(
    const char* name, void** function, int, cuuint64_t,
    CUdriverProcAddressQueryResult* status) __asm__("cuGetProcAddress_v2");

CUresult fake_get_proc_address(const char* name, void** function, int, cuuint64_t,
                               CUdriverProcAddressQueryResult* status) {
  using namespace fourge::tests;
  *function = nullptr;
  if (std::strcmp(name, state().missing) != 0) {
    *function = find_own(name);
    if (*function == nullptr) *function = find_stub(name);
  }
  *status =
      *function == nullptr ? CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND : CU_GET_PROC_ADDRESS_SUCCESS;
  return CUDA_SUCCESS;
}

}  // extern "C"
