#include "tools/bench/gpu_bench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fourge/error.hpp>

namespace fourge::tools {
namespace {

constexpr std::size_t kWarmUps = 4;
constexpr std::size_t kFewestCalls = 4;
constexpr std::size_t kMostCalls = 12'000;  // in one graph
constexpr std::size_t kAlignment = 256;
constexpr std::size_t kPattern = std::size_t{32} << 20;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace

GpuBench::GpuBench(Runtime& runtime, const DeviceInfo& device, std::size_t samples)
    : runtime_(runtime),
      device_(device),
      samples_(samples),
      context_(device.ordinal),
      stream_(context_) {
  copy_ = measure_copy();
}

double GpuBench::measure_copy() {
  const std::size_t bytes = std::min(std::size_t{2} << 30, device_.memory_bytes / 8);
  DeviceBuffer from(context_, bytes);
  DeviceBuffer to(context_, bytes);
  from.fill(0x5A, stream_.get());
  Event begin(context_);
  Event end(context_);
  double best = 0;
  for (int repeat = 0; repeat < 12; ++repeat) {
    begin.record(stream_.get());
    to.copy_from(from, bytes, stream_.get());
    end.record(stream_.get());
    end.synchronize();
    const double rate = 2.0 * static_cast<double>(bytes) / (Event::milliseconds(begin, end) * 1e6);
    if (repeat >= 2) best = std::max(best, rate);
  }
  return best;
}

GpuBench::Pool GpuBench::make_pool(const BenchOp& op, const KernelSpec& spec,
                                   const MatrixShape& shape) {
  const OpDefinition& definition = spec.op();
  Pool pool;
  pool.args.resize(definition.args_size);
  op.fill(spec, shape, pool.args.data());
  // Addresses that are only recognised, never used.
  std::vector<std::size_t> offsets;
  for (const Param& param : definition.params) {
    const bool unused =
        std::find(op.unused.begin(), op.unused.end(), param.name) != op.unused.end();
    if (param.type.ends_with('*') && !unused) {
      const std::uintptr_t mark = (offsets.size() + 1) << 40;
      std::memcpy(pool.args.data() + param.offset, &mark, sizeof(mark));
      offsets.push_back(param.offset);
    }
  }
  const auto regions = definition.regions(spec, pool.args.data());
  std::size_t set = 0;
  for (const BufferRegion& region : regions) {
    pool.bytes += region.bytes;
    set += aligned(region.bytes);
    const auto mark = reinterpret_cast<std::uintptr_t>(region.pointer);
    pool.pointer_offsets.push_back(offsets.at((mark >> 40) - 1));
    pool.strides.push_back(aligned(region.bytes));
  }
  pool.sets = std::clamp<std::size_t>(3 * device_.l2_bytes / set + 1, 2, kMostCalls);
  for (const BufferRegion& region : regions) {
    fill_buffer(op, spec, shape, region, pool);
  }
  if (op.bytes != nullptr) {
    pool.bytes = op.bytes(spec, shape);
  }
  return pool;
}

// The next buffer of the pool, for all sets.
void GpuBench::fill_buffer(const BenchOp& op, const KernelSpec& spec, const MatrixShape& shape,
                           const BufferRegion& region, Pool& pool) {
  const std::size_t stride = pool.strides[pool.buffers.size()];
  const std::size_t size = pool.sets * stride;
  pool.names.push_back(region.name);
  pool.buffers.push_back(std::make_unique<DeviceBuffer>(context_, std::max(size, kAlignment)));
  DeviceBuffer& buffer = *pool.buffers.back();
  if (region.access == Access::write) {
    buffer.fill(0, stream_.get());
    return;
  }
  std::vector<std::uint8_t> content;
  if (op.exact != nullptr) {
    content = op.exact(spec, shape, region.name);
  }
  if (content.empty()) {
    content = bench_content(spec, region.name, std::min(size, kPattern));
  } else {
    // The same in each set; many at once where they are small.
    content.resize(stride);
    const std::size_t copies = std::clamp<std::size_t>(kPattern / stride, 1, pool.sets);
    for (std::size_t copy = 1; copy < copies; ++copy) {
      content.insert(content.end(), content.begin(),
                     content.begin() + static_cast<std::ptrdiff_t>(stride));
    }
  }
  for (std::size_t at = 0; at < size; at += content.size()) {
    buffer.upload(content.data(), std::min(content.size(), size - at), stream_.get(), at);
  }
  stream_.synchronize();
}

// The first set of a pool.
class GpuBench::Memory final : public BenchMemory {
 public:
  Memory(const Pool& pool, const Stream& stream) : pool_(pool), stream_(stream) {}

  void read(std::string_view buffer, std::size_t offset, void* to,
            std::size_t bytes) const override {
    const auto found = std::find(pool_.names.begin(), pool_.names.end(), buffer);
    const auto i = static_cast<std::size_t>(found - pool_.names.begin());
    if (found == pool_.names.end() || offset + bytes > pool_.strides[i]) {
      throw Error(ErrorKind::invalid_argument, fmt::format("no bytes {} to {} of a buffer \"{}\"",
                                                           offset, offset + bytes, buffer));
    }
    if (bytes != 0) {
      pool_.buffers[i]->download(to, bytes, stream_.get(), offset);
      stream_.synchronize();
    }
  }

 private:
  const Pool& pool_;
  const Stream& stream_;
};

std::vector<double> GpuBench::sample_calls(const Graph& graph, std::size_t calls) {
  Event begin(context_);
  Event end(context_);
  std::vector<double> samples;
  for (std::size_t i = 0; i < kWarmUps + samples_; ++i) {
    begin.record(stream_.get());
    graph.launch(stream_.get());
    end.record(stream_.get());
    end.synchronize();
    if (i >= kWarmUps) {
      samples.push_back(Event::milliseconds(begin, end) * 1e3 / static_cast<double>(calls));
    }
  }
  return samples;
}

Measurement GpuBench::measure(const BenchOp& op, const KernelSpec& spec, const MatrixShape& shape) {
  const Kernel kernel = runtime_.prepare(spec);
  const Pool pool = make_pool(op, spec, shape);
  const std::size_t calls = std::max(pool.sets, kFewestCalls);
  const Graph graph(context_, stream_, [&] {
    for (std::size_t call = 0; call < calls; ++call) {
      std::vector<std::byte> args = pool.args;
      for (std::size_t i = 0; i < pool.buffers.size(); ++i) {
        const std::uint8_t* p = pool.buffers[i]->data() + call % pool.sets * pool.strides[i];
        std::memcpy(args.data() + pool.pointer_offsets[i], &p, sizeof(p));
      }
      kernel.launch_args(op.op, args.data(), args.size(), stream_.get());
    }
  });
  std::vector<double> samples = sample_calls(graph, calls);
  Measurement result;
  result.spec = spec.text();
  result.shape = shape;
  result.bytes = pool.bytes;
  result.sets = pool.sets;
  result.replays = samples_;
  result.best_us = *std::min_element(samples.begin(), samples.end());
  result.median_us = median(std::move(samples));
  if (op.check != nullptr) {
    result.checked = true;
    result.difference = op.check(spec, shape, Memory(pool, stream_));
  }
  return result;
}

}  // namespace fourge::tools
