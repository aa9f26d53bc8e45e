// Times kernels on a GPU beside the device's own copy, in the same run.
//
// Calls are captured into CUDA graphs. They rotate through so many sets of buffers that a set has
// left the L2 cache (more than three times its size goes by) when its turn comes again. A sample is
// one replay, timed with events; the median of the samples is reported for one call.
#pragma once

#include <fourge/device.hpp>
#include <fourge/op_definition.hpp>
#include <fourge/runtime.hpp>

#include <memory>
#include <string>
#include <vector>

#include "tools/bench/bench_ops.hpp"

namespace fourge::tools {

struct Measurement {
  std::string spec;
  MatrixShape shape;
  std::size_t bytes = 0;  // that a call must read and write at least
  std::size_t sets = 0;   // of buffers
  std::size_t replays = 0;
  double median_us = 0;
  double best_us = 0;
  bool automatic = false;  // the variant was chosen by the operation's rule
  bool checked = false;    // results were compared with the CPU reference
  std::string difference;  // the first one found

  double gigabytes_per_second() const { return static_cast<double>(bytes) / (median_us * 1e3); }
};

class GpuBench {
 public:
  GpuBench(Runtime& runtime, const DeviceInfo& device, std::size_t samples);

  // The best of several large device-to-device copies, read plus written bytes.
  double copy_gigabytes_per_second() const { return copy_; }
  const DeviceInfo& device() const { return device_; }

  Measurement measure(const BenchOp& op, const KernelSpec& spec, const MatrixShape& shape);

 private:
  // Buffers of all sets for one kernel's arguments.
  struct Pool {
    std::vector<std::byte> args;  // pointers of the first set
    std::vector<std::size_t> pointer_offsets;
    std::vector<std::size_t> strides;
    std::vector<std::string_view> names;
    std::vector<std::unique_ptr<DeviceBuffer>> buffers;
    std::size_t sets = 0;
    std::size_t bytes = 0;
  };

  class Memory;

  double measure_copy();
  Pool make_pool(const BenchOp& op, const KernelSpec& spec, const MatrixShape& shape);
  void fill_buffer(const BenchOp& op, const KernelSpec& spec, const MatrixShape& shape,
                   const BufferRegion& region, Pool& pool);
  std::vector<double> sample_calls(const Graph& graph, std::size_t calls);

  Runtime& runtime_;
  DeviceInfo device_;
  std::size_t samples_;
  DeviceContext context_;
  Stream stream_;
  double copy_ = 0;
};

}  // namespace fourge::tools
