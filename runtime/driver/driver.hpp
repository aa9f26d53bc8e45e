// The CUDA driver, loaded at run time. Nothing links libcuda: it is opened with dlopen and every
// entry point is asked for through cuGetProcAddress, with the version whose signature is used here.
//
// Loading initialises the driver (cuInit) and creates no context. A Driver is immutable and may be
// used by all threads; the library stays open as long as the process, since other users of CUDA in
// the process cannot bear its unloading.
#pragma once

#include <cuda.h>
#include <cudaTypedefs.h>

#include <memory>
#include <string>
#include <string_view>

// Entry points: name, the CUDA version that introduced the signature, and whether a driver without
// it is refused (required) or used with less (optional).
#define FOURGE_DRIVER_FUNCTIONS(X)                      \
  X(cuInit, 2000, required)                             \
  X(cuDriverGetVersion, 2020, required)                 \
  X(cuGetErrorName, 6000, required)                     \
  X(cuGetErrorString, 6000, required)                   \
  X(cuDeviceGetCount, 2000, required)                   \
  X(cuDeviceGet, 2000, required)                        \
  X(cuDeviceGetName, 2000, required)                    \
  X(cuDeviceGetAttribute, 2000, required)               \
  X(cuDeviceGetUuid, 9020, required)                    \
  X(cuDeviceTotalMem, 3020, required)                   \
  X(cuDeviceCanAccessPeer, 4000, optional)              \
  X(cuCtxEnablePeerAccess, 4000, optional)              \
  X(cuDevicePrimaryCtxRetain, 7000, required)           \
  X(cuDevicePrimaryCtxGetState, 7000, required)         \
  X(cuDevicePrimaryCtxRelease, 11000, required)         \
  X(cuCtxCreate, 3020, required)                        \
  X(cuCtxDestroy, 4000, required)                       \
  X(cuCtxGetCurrent, 4000, required)                    \
  X(cuCtxSetCurrent, 4000, required)                    \
  X(cuCtxPushCurrent, 4000, required)                   \
  X(cuCtxPopCurrent, 4000, required)                    \
  X(cuCtxGetDevice, 2000, required)                     \
  X(cuCtxGetId, 12000, required)                        \
  X(cuCtxSynchronize, 2000, required)                   \
  X(cuLibraryLoadData, 12000, required)                 \
  X(cuLibraryUnload, 12000, required)                   \
  X(cuLibraryGetKernel, 12000, required)                \
  X(cuLibraryGetKernelCount, 12040, optional)           \
  X(cuKernelGetFunction, 12000, required)               \
  X(cuKernelGetAttribute, 12000, required)              \
  X(cuKernelSetAttribute, 12000, required)              \
  X(cuKernelGetParamInfo, 12040, optional)              \
  X(cuFuncLoad, 12040, optional)                        \
  X(cuFuncGetAttribute, 2020, required)                 \
  X(cuLaunchKernelEx, 11060, required)                  \
  X(cuMemAlloc, 3020, required)                         \
  X(cuMemFree, 3020, required)                          \
  X(cuMemHostAlloc, 2020, required)                     \
  X(cuMemHostGetDevicePointer, 3020, required)          \
  X(cuMemFreeHost, 2000, required)                      \
  X(cuIpcGetMemHandle, 4010, optional)                  \
  X(cuIpcOpenMemHandle, 11000, optional)                \
  X(cuIpcCloseMemHandle, 4010, optional)                \
  X(cuMemcpyHtoD, 3020, required)                       \
  X(cuMemcpyDtoH, 3020, required)                       \
  X(cuMemcpyDtoD, 3020, required)                       \
  X(cuMemsetD8, 3020, required)                         \
  X(cuMemsetD32, 3020, required)                        \
  X(cuMemcpyHtoDAsync, 3020, required)                  \
  X(cuMemcpyDtoHAsync, 3020, required)                  \
  X(cuMemcpyDtoDAsync, 3020, required)                  \
  X(cuMemsetD8Async, 3020, required)                    \
  X(cuStreamCreate, 2000, required)                     \
  X(cuStreamDestroy, 4000, required)                    \
  X(cuStreamSynchronize, 2000, required)                \
  X(cuStreamIsCapturing, 10000, required)               \
  X(cuStreamBeginCapture, 10010, required)              \
  X(cuStreamEndCapture, 10000, required)                \
  X(cuThreadExchangeStreamCaptureMode, 10010, required) \
  X(cuEventCreate, 2000, required)                      \
  X(cuEventRecord, 2000, required)                      \
  X(cuEventSynchronize, 2000, required)                 \
  X(cuEventElapsedTime, 2000, required)                 \
  X(cuEventDestroy, 4000, required)                     \
  X(cuGraphInstantiateWithFlags, 11040, required)       \
  X(cuGraphUpload, 11010, optional)                     \
  X(cuGraphLaunch, 10000, required)                     \
  X(cuGraphExecDestroy, 10000, required)                \
  X(cuGraphDestroy, 10000, required)

namespace fourge {

class Driver {
 public:
  // Opens the library and initialises it. Throws Error(library_missing) that names what was
  // searched, what the loader said and what to do; DriverError if the driver is there and refuses
  // to start.
  static std::shared_ptr<const Driver> load(const std::string& path = "libcuda.so.1");

  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  // CUDA version of the driver, as 13000 for 13.0.
  int version() const noexcept { return version_; }
  const std::string& path() const noexcept { return path_; }

  // Throws DriverError unless the result is success: "CALL failed with NAME (number): TEXT;
  // CONTEXT".
  void check(CUresult result, std::string_view call, std::string_view context = {}) const {
    if (result != CUDA_SUCCESS) fail(result, call, context);
  }
  [[noreturn]] void fail(CUresult result, std::string_view call, std::string_view context) const;

  // The entry points, named as in cuda.h. An optional one may be null.
#define FOURGE_DRIVER_MEMBER(name, version, need) PFN_##name##_v##version name = nullptr;
  FOURGE_DRIVER_FUNCTIONS(FOURGE_DRIVER_MEMBER)
#undef FOURGE_DRIVER_MEMBER

 private:
  Driver() = default;

  int version_ = 0;
  std::string path_;
};

}  // namespace fourge
