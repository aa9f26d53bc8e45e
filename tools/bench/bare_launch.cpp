#include "tools/bench/bare_launch.hpp"

#include <cuda.h>
#include <cudaTypedefs.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <fourge/device.hpp>
#include <fourge/error.hpp>
#include <vector>

namespace fourge::tools {

struct BareKernel::State {
  PFN_cuLibraryLoadData_v12000 load = nullptr;
  PFN_cuLibraryUnload_v12000 unload = nullptr;
  PFN_cuLibraryGetKernel_v12000 get_kernel = nullptr;
  PFN_cuKernelGetFunction_v12000 get_function = nullptr;
  PFN_cuLaunchKernelEx_v11060 launch = nullptr;
  CUlibrary library = nullptr;
  CUfunction function = nullptr;
  CUkernel kernel = nullptr;
  CUlaunchConfig config{};
  std::vector<void*> params;
};

namespace {

void check(CUresult result, const char* call) {
  if (result != CUDA_SUCCESS) {
    throw DriverError(fmt::format("{} failed with {}", call, static_cast<int>(result)),
                      static_cast<int>(result));
  }
}

template <class Function>
void find(PFN_cuGetProcAddress_v12000 lookup, const char* name, int version, Function& function) {
  void* address = nullptr;
  CUdriverProcAddressQueryResult found{};
  check(lookup(name, &address, version, CU_GET_PROC_ADDRESS_DEFAULT, &found), name);
  if (address == nullptr) {
    throw Error(ErrorKind::library_missing, fmt::format("the driver has no {}", name));
  }
  function = reinterpret_cast<Function>(address);
}

PFN_cuGetProcAddress_v12000 open_driver() {
  // Open already: fourge has it for as long as the process lives.
  void* library = ::dlopen(kDefaultDriver, RTLD_NOW | RTLD_LOCAL);
  void* lookup = library == nullptr ? nullptr : ::dlsym(library, "cuGetProcAddress_v2");
  if (lookup == nullptr) {
    throw Error(ErrorKind::library_missing, "libcuda.so.1 has no cuGetProcAddress_v2");
  }
  return reinterpret_cast<PFN_cuGetProcAddress_v12000>(lookup);
}

}  // namespace

BareKernel::BareKernel(std::span<const std::byte> cubin, const std::string& entry)
    : state_(std::make_unique<State>()) {
  const PFN_cuGetProcAddress_v12000 lookup = open_driver();
  find(lookup, "cuLibraryLoadData", 12000, state_->load);
  find(lookup, "cuLibraryUnload", 12000, state_->unload);
  find(lookup, "cuLibraryGetKernel", 12000, state_->get_kernel);
  find(lookup, "cuKernelGetFunction", 12000, state_->get_function);
  find(lookup, "cuLaunchKernelEx", 11060, state_->launch);
  check(state_->load(&state_->library, cubin.data(), nullptr, nullptr, 0, nullptr, nullptr, 0),
        "cuLibraryLoadData");
  check(state_->get_kernel(&state_->kernel, state_->library, entry.c_str()), "cuLibraryGetKernel");
  check(state_->get_function(&state_->function, state_->kernel), "cuKernelGetFunction");
}

BareKernel::~BareKernel() {
  if (state_->library != nullptr) state_->unload(state_->library);
}

void BareKernel::prepare(const LaunchShape& shape, std::span<void* const> params,
                         CUstream_st* stream) {
  state_->params.assign(params.begin(), params.end());
  CUlaunchConfig& config = state_->config;
  config.gridDimX = shape.grid[0];
  config.gridDimY = shape.grid[1];
  config.gridDimZ = shape.grid[2];
  config.blockDimX = shape.block[0];
  config.blockDimY = shape.block[1];
  config.blockDimZ = shape.block[2];
  config.sharedMemBytes = shape.dynamic_shared_bytes;
  config.hStream = stream;
}

void BareKernel::launch() const {
  check(state_->launch(&state_->config, state_->function, state_->params.data(), nullptr),
        "cuLaunchKernelEx");
}

void BareKernel::launch_for_any_context() const {
  check(state_->launch(&state_->config, reinterpret_cast<CUfunction>(state_->kernel),
                       state_->params.data(), nullptr),
        "cuLaunchKernelEx");
}

}  // namespace fourge::tools
