// Prepared kernels. A Kernel runs on the GPU through the CUDA driver; a HostKernel runs the same
// generated source on the CPU. Both are small handles that stay valid as long as their Runtime.
#pragma once

#include <fourge/export.hpp>
#include <fourge/kernel_spec.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

struct CUstream_st;

namespace fourge {

namespace detail {
struct KernelState;
struct HostKernelState;
}  // namespace detail

struct LaunchOptions {
  // Lets the kernel start while its predecessor in the stream drains (programmatic dependent launch).
  // Needs a target with the feature; otherwise Error(unsupported).
  bool programmatic_dependent_launch = false;
};

// Thread-safe: any number of threads may launch through one handle. A launch takes no lock, computes
// no hash and allocates nothing; its attributes live on the caller's stack.
class FOURGE_API Kernel {
 public:
  const KernelSpec& spec() const noexcept;

  // Launches on the caller's stream, in the caller's current context. Asynchronous. Throws
  // Error(invalid_argument) for arguments that the op's contract forbids, Error(unsupported) if the
  // current device is not one the kernel's target runs on, DriverError with the spec's text if the
  // driver refuses. Args must be the op's argument struct.
  template <class Args>
  void launch(const Args& args, CUstream_st* stream, const LaunchOptions& options = {}) const {
    static_assert(std::is_trivially_copyable_v<Args>);
    launch_args(Args::kOp, &args, sizeof(Args), stream, options);
  }
  void launch_args(std::string_view op, const void* args, std::size_t size, CUstream_st* stream,
                   const LaunchOptions& options = {}) const;

  explicit Kernel(const detail::KernelState& state) noexcept : state_(&state) {}

 private:
  const detail::KernelState* state_;
};

// Runs on the CPU, synchronously, for correctness and not for speed. Pointers are host pointers. An
// access outside the op's buffers, a barrier that not all threads reach or a read of shared memory that
// nothing wrote throws Error(internal) that names the block and thread.
class FOURGE_API HostKernel {
 public:
  const KernelSpec& spec() const noexcept;

  template <class Args>
  void launch(const Args& args) const {
    static_assert(std::is_trivially_copyable_v<Args>);
    launch_args(Args::kOp, &args, sizeof(Args));
  }
  void launch_args(std::string_view op, const void* args, std::size_t size) const;

  explicit HostKernel(const detail::HostKernelState& state) noexcept : state_(&state) {}

 private:
  const detail::HostKernelState* state_;
};

}  // namespace fourge
