// Times kernels on a GPU beside the device's own copy, in the same run.
//
// Calls are captured into CUDA graphs. They rotate through so many sets of buffers that a set has
// left the L2 cache (more than three times its size goes by) when its turn comes again. Many small calls
// are several graphs, replayed in turn. A sample is one replay, timed with events; the median of the
// samples is reported for one call.
#pragma once

#include <fourge/device.hpp>
#include <fourge/op_definition.hpp>
#include <fourge/runtime.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/bench/bench_ops.hpp"
#include "tools/bench/copy_kernel.hpp"

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
  double copy_us = 0;      // of a plain kernel that copies as many bytes; 0: not measured

  double gigabytes_per_second() const { return static_cast<double>(bytes) / (median_us * 1e3); }
};

// Buffers of all sets for the arguments of one call. Variants with the same results share them.
struct BufferPool {
  std::vector<std::byte> args;  // pointers of the first set
  std::vector<std::size_t> pointer_offsets;
  std::vector<std::size_t> strides;
  std::vector<std::string_view> names;
  std::vector<std::unique_ptr<DeviceBuffer>> buffers;
  std::vector<bool> written_only;
  bool updated = false;  // a buffer is read and written: calls change what the next ones read
  std::size_t sets = 0;
  std::size_t bytes = 0;
};

// A call's graphs, ready to be replayed.
struct TimedCall {
  struct Part {
    Graph graph;
    std::size_t calls = 0;
  };
  std::shared_ptr<const BufferPool> pool;
  std::vector<std::unique_ptr<Part>> parts;  // of one turn through all sets
  std::size_t next = 0;
};

class GpuBench {
 public:
  // A replay is no more than this many calls; a turn through the sets may take several.
  static constexpr std::size_t kCallsAReplay = 4096;

  GpuBench(Runtime& runtime, const DeviceInfo& device, std::size_t calls_a_replay = kCallsAReplay);

  // Of the calls that prepare() captures from here on.
  void set_launch_options(const LaunchOptions& options) { launch_options_ = options; }

  // From here on each measurement has a plain copy of its bytes beside it. Throws what CopyKernel does.
  void measure_copies(const Options& options);
  // The best of several large device-to-device copies, and of the plain kernel's if there is one; read
  // plus written bytes.
  double copy_gigabytes_per_second() const { return copy_; }
  const DeviceInfo& device() const { return device_; }

  // Buffers, graphs, and each graph run some times.
  TimedCall prepare(const BenchOp& op, const KernelSpec& spec, const MatrixShape& shape);
  // Microseconds a call, of that many replays.
  std::vector<double> time(TimedCall& call, std::size_t samples);
  // Both, and the check of the results.
  Measurement measure(const BenchOp& op, const KernelSpec& spec, const MatrixShape& shape,
                      std::size_t samples);

 private:
  class Memory;
  // Of the last pool.
  struct PoolKey {
    std::string_view op;
    MatrixShape shape;
    KernelSpec spec;
    std::vector<BufferRegion> regions;  // with marks for pointers
    bool serves(const PoolKey& other) const;
  };

  double measure_copy();
  std::shared_ptr<const BufferPool> pool_for(const BenchOp& op, const KernelSpec& spec,
                                             const MatrixShape& shape);
  void fill_buffer(const BenchOp& op, const KernelSpec& spec, const MatrixShape& shape,
                   const BufferRegion& region, BufferPool& pool);
  const std::vector<std::uint8_t>& pattern(const KernelSpec& spec, std::string_view buffer,
                                           std::size_t bytes);
  void clear_outputs(const BufferPool& pool);
  double replay(const TimedCall::Part& part, Event& begin, Event& end);

  Runtime& runtime_;
  DeviceInfo device_;
  std::size_t calls_a_replay_;
  DeviceContext context_;
  Stream stream_;
  LaunchOptions launch_options_;
  double copy_ = 0;
  std::unique_ptr<CopyKernel> copy_kernel_;
  std::optional<PoolKey> pool_key_;
  std::shared_ptr<const BufferPool> pool_;
  std::map<std::string, std::vector<std::uint8_t>> patterns_;
};

}  // namespace fourge::tools
