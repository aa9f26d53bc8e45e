// Prepared kernels. A Kernel runs on the GPU through the CUDA driver; a HostKernel runs the same
// generated source on the CPU. Both are small handles that stay valid as long as their Runtime.
//
// The typed call of an operation is launch() with the argument struct of its header (the struct's kOp
// names the operation). Each header has the shapes, types, alignment and values; these rules are those of
// every call:
//
//   memory    Pointers are device pointers that the current context can use (HostKernel: host pointers).
//             Tensors are dense in the order that the header gives; there are no other strides. What is
//             aligned to a number of bytes begins at a multiple of it; rows follow from the shape. An
//             output overlaps no input and no other output; inputs may overlap. Nothing but the buffers
//             is touched. A pointer that a variant does not look at may be null.
//   sizes     64-bit; a tensor may have more than 2^31 elements. With no rows nothing is launched,
//             unless the header says otherwise, and pointers are not looked at.
//   stream    The caller's, of the current context: created, legacy default (null) or per-thread
//             default, blocking or not. The kernel runs in the stream's order. Nothing is synchronised,
//             allocated or copied on the device.
//   return    launch() returns when the driver has taken the launch; the struct may go then, the buffers
//             when the kernel is done. A fault in a kernel shows at the caller's next synchronisation.
//   threads   Any number, through one handle or several, on any streams.
//   errors    Error(invalid_argument) for what the contract forbids, as far as the host can see it;
//             what lies in device memory cannot be checked and may give unspecified numbers. Thrown
//             before anything is launched. Not checked: that a buffer is as large as the shape says.
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
  // What a launch runs at the moment: spec(), or its fallback variant until spec() is compiled
  // (Runtime::freeze()).
  const KernelSpec& running() const noexcept;

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
