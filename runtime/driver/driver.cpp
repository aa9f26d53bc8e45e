#include "runtime/driver/driver.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <fourge/error.hpp>

namespace fourge {
namespace {

constexpr bool required = true;
constexpr bool optional = false;

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

void* open_library(const std::string& path) {
  // Never closed: other users of CUDA in this process cannot bear it, and unloading a driver with
  // live threads of its own is not safe.
  if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)) return library;
  const char* reason = dlerror();
  throw Error(
      ErrorKind::library_missing,
      fmt::format("the CUDA driver library was not found: searched for {}; the loader says: "
                  "{}. Install the NVIDIA driver (it brings libcuda.so.1), or use host "
                  "execution, which needs no GPU",
                  path, reason == nullptr ? "nothing" : reason));
}

PFN_cuGetProcAddress_v12000 find_lookup(void* library, const std::string& path) {
  // NOLINTNEXTLINE: dlsym gives an object pointer, POSIX makes the cast good.
  const auto lookup =
      reinterpret_cast<PFN_cuGetProcAddress_v12000>(dlsym(library, "cuGetProcAddress_v2"));
  if (lookup == nullptr) {
    throw Error(ErrorKind::library_missing,
                fmt::format("{} has no cuGetProcAddress_v2: it is older than CUDA 12.0 or no CUDA "
                            "driver. Install an NVIDIA driver for CUDA 12.0 or later",
                            path));
  }
  return lookup;
}

// Looks one entry point up. Null if the driver does not have it.
void* find_function(PFN_cuGetProcAddress_v12000 lookup, const char* name, int version) {
  void* function = nullptr;
  CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SUCCESS;
  const CUresult result = lookup(name, &function, version, CU_GET_PROC_ADDRESS_DEFAULT, &status);
  return result == CUDA_SUCCESS && status == CU_GET_PROC_ADDRESS_SUCCESS ? function : nullptr;
}

[[noreturn]] void fail_function(const std::string& path, const char* name, int version) {
  throw Error(
      ErrorKind::library_missing,
      fmt::format("the CUDA driver {} has no {} (CUDA {}). Install an NVIDIA driver for CUDA "
                  "12.0 or later, or use host execution",
                  path, name, version_text(version)));
}

bool is_capture_error(CUresult result) {
  return result >= CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED &&
         result <= CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
}

}  // namespace

std::shared_ptr<const Driver> Driver::load(const std::string& path) {
  void* library = open_library(path);
  const auto lookup = find_lookup(library, path);
  const std::shared_ptr<Driver> driver(new Driver);
  driver->path_ = path;

#define FOURGE_DRIVER_FIND(name, version, need)                                                    \
  driver->name = reinterpret_cast<PFN_##name##_v##version>(find_function(lookup, #name, version)); \
  if (need && driver->name == nullptr) fail_function(path, #name, version);
  FOURGE_DRIVER_FUNCTIONS(FOURGE_DRIVER_FIND)
#undef FOURGE_DRIVER_FIND

  driver->check(driver->cuInit(0), "cuInit(0)",
                "the NVIDIA driver is installed and does not start; see nvidia-smi, or use host "
                "execution");
  driver->check(driver->cuDriverGetVersion(&driver->version_), "cuDriverGetVersion");
  return driver;
}

void Driver::fail(CUresult result, std::string_view call, std::string_view context) const {
  const char* name = nullptr;
  const char* text = nullptr;
  // Both fail for a number the driver does not know.
  if (cuGetErrorName(result, &name) != CUDA_SUCCESS || name == nullptr) name = "unknown CUresult";
  if (cuGetErrorString(result, &text) != CUDA_SUCCESS || text == nullptr) text = "no text";
  std::string message =
      fmt::format("{} failed with {} ({}): {}", call, name, static_cast<int>(result), text);
  if (!context.empty()) message += fmt::format("; {}", context);
  if (is_capture_error(result)) {
    message += "; a stream capture is in progress: prepare kernels before capturing";
  }
  throw DriverError(message, static_cast<int>(result));
}

}  // namespace fourge
