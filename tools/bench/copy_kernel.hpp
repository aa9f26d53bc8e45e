// A plain copy by a kernel, the yardstick for calls too small for the device's own copy.
#pragma once

#include <fourge/device.hpp>
#include <fourge/options.hpp>
#include <fourge/target.hpp>

#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "tools/bench/bare_launch.hpp"

namespace fourge::tools {

// Vectors of 16 bytes, each thread one, two or four of them, all loaded before the first is stored. Not
// thread-safe; the context and the stream must outlive it.
class CopyKernel {
 public:
  // Compiles. Throws Error(library_missing) without NVRTC.
  CopyKernel(const DeviceContext& context, const Stream& stream, const DeviceInfo& device,
             const Target& target, const Options& options);

  // For one copy that reads and writes this many bytes together, in CUDA graphs, through buffers that make three
  // times the L2: the least of the kernels' medians. Measured once for each size.
  double microseconds(std::size_t bytes, std::size_t samples);

 private:
  double time(BareKernel& kernel, unsigned vectors, std::size_t bytes, std::size_t samples);

  const DeviceContext& context_;
  const Stream& stream_;
  DeviceInfo device_;
  std::vector<std::unique_ptr<BareKernel>> kernels_;
  std::map<std::size_t, double> known_;
};

}  // namespace fourge::tools
