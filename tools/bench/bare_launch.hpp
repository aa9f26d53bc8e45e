// The driver without the library: what a launch costs that is made by hand.
#pragma once

#include <fourge/op_definition.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

struct CUstream_st;

namespace fourge::tools {

// A kernel of a cubin, loaded beside whatever fourge loaded, for the current context.
class BareKernel {
 public:
  // Throws Error(library_missing) without libcuda, Error(driver) if it refuses.
  BareKernel(std::span<const std::byte> cubin, const std::string& entry);
  ~BareKernel();
  BareKernel(const BareKernel&) = delete;
  BareKernel& operator=(const BareKernel&) = delete;

  // One cuLaunchKernelEx with a configuration and parameters that are ready.
  void prepare(const LaunchShape& shape, std::span<void* const> params, CUstream_st* stream);
  // With the function of the context that was current at the beginning, or with the kernel, whose function
  // in the current context the driver then finds.
  void launch() const;
  void launch_for_any_context() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fourge::tools
