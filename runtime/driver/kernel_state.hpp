// A loaded kernel: what fourge::Kernel points to.
//
// The kernel is loaded as a context-free library (cuLibraryLoadData), so one state serves all
// devices and contexts of the process. Everything a launch needs to know about a device is read at
// load time.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <fourge/kernel.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/target.hpp>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "runtime/cubin_check.hpp"
#include "runtime/driver/driver.hpp"

namespace fourge::detail {

// Devices with a larger ordinal are not used.
inline constexpr int kMaxDevices = 64;

// Owns a CUlibrary. Unloading at process exit, when the driver is gone already, is no error.
class Library {
 public:
  Library() = default;
  Library(std::shared_ptr<const Driver> driver, CUlibrary library)
      : driver_(std::move(driver)), library_(library) {}
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  CUlibrary get() const noexcept { return library_; }

 private:
  std::shared_ptr<const Driver> driver_;
  CUlibrary library_ = nullptr;
};

struct DeviceSlot {
  bool present = false;
  bool runs = false;  // the kernel's target loads on this device
  int major = 0;
  int minor = 0;
  int multiprocessors = 0;
};

// What a launch reads besides the spec, together: between two launches the driver's own work has driven
// most of what is read here out of the nearest cache. One line of it. Constant once the kernel is loaded.
struct alignas(64) LaunchPlan {
  PFN_cuLaunchKernelEx_v11060 launch = nullptr;
  PFN_cuCtxGetId_v12000 context_id = nullptr;
  void (*check_args)(const KernelSpec&, const void*) = nullptr;
  LaunchShape (*launch_shape)(const KernelSpec&, const void*, const DeviceFacts&) = nullptr;
  // The context that the kernel was loaded in first, and its function there: with a function the driver need
  // not find the context's own, which takes it longer than to tell which context is current. Another context,
  // and one that was reset, has another number; numbers do not come again.
  unsigned long long home_context = 0;
  CUfunction home_function = nullptr;
  std::uint32_t args_size = 0;
  // Multiprocessors of every device, if all run the target and have as many; else 0. Then a launch
  // need not ask which device the current context has.
  int uniform_multiprocessors = 0;
  std::uint32_t param_bytes = 0;  // the argument struct up to the end of its last parameter
};
static_assert(sizeof(LaunchPlan) == 64);

struct KernelState {
  KernelState(KernelSpec kernel_spec, std::shared_ptr<const Driver> loaded_driver,
              CUlibrary loaded_library)
      : spec(std::move(kernel_spec)),
        text(spec.text()),
        driver(loaded_driver),
        library(std::move(loaded_driver), loaded_library) {}

  // What a launch runs: this one, or for a kernel that is not there yet its fallback variant. Changed at
  // most once, while handles are in use (runtime/stand_in.hpp).
  std::atomic<const KernelState*> active{this};
  KernelSpec spec;
  LaunchPlan plan;
  std::string text;  // of the spec, for errors
  std::shared_ptr<const Driver> driver;
  Library library;
  CUkernel kernel = nullptr;
  std::array<DeviceSlot, kMaxDevices> devices{};
};

// Loads a cubin for a spec. Checks, before the driver sees the bytes, that the cubin is for the
// spec's target, holds the entry and has the op's parameters; then that the current context's
// device can run it. Where a launch may ask for more dynamic shared memory (OpDefinition::max_dynamic_shared) than a CTA
// gets by default, the limit is raised on every device that the target runs on. The load is forced for the current context,
// which is neither changed nor created.
//
// Throws Error(invalid_argument) for bytes that are no cubin or one for another target,
// Error(internal) for an entry whose parameters are not the op's, Error(unsupported) without a
// current context or on a device of another target, DriverError with the spec's text.
std::unique_ptr<KernelState> load_kernel(std::shared_ptr<const Driver> driver,
                                         const KernelSpec& spec, std::string_view entry_name,
                                         std::span<const std::byte> cubin);

// Loads the kernel into the current context now. Without this its first launch there would load
// lazily, which can wait for a busy GPU. Throws Error(unsupported) without a current context.
void force_load(const KernelState& state);

// Throws Error(unsupported) unless the kernel's target runs on the device.
void require_device(const KernelState& state, CUdevice device);

// The target for the device of the current context. Throws Error(unsupported) when there is no
// current context, or a device fourge has no target for.
Target device_target(const Driver& driver);

// The device of the current context. Throws Error(unsupported) with advice when there is none.
CUdevice current_device(const Driver& driver, std::string_view context);

struct DeviceModel {
  std::string name;
  int multiprocessors = 0;
};
// As current_device().
DeviceModel current_device_model(const Driver& driver, std::string_view context);

}  // namespace fourge::detail
