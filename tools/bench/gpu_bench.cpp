#include "tools/bench/gpu_bench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fourge/error.hpp>

#include "tools/bench/median.hpp"

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

}  // namespace

bool GpuBench::PoolKey::serves(const PoolKey& other) const {
  return op == other.op && shape.rows == other.shape.rows && shape.cols == other.shape.cols &&
         spec.same_results(other.spec) &&
         std::equal(regions.begin(), regions.end(), other.regions.begin(), other.regions.end(),
                    [](const BufferRegion& a, const BufferRegion& b) {
                      return a.name == b.name && a.pointer == b.pointer && a.bytes == b.bytes &&
                             a.access == b.access;
                    });
}

GpuBench::GpuBench(Runtime& runtime, const DeviceInfo& device, std::size_t calls_a_replay)
    : runtime_(runtime),
      device_(device),
      calls_a_replay_(calls_a_replay),
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

void GpuBench::measure_copies(const Options& options) {
  constexpr std::size_t kSamples = 10;
  copy_kernel_ =
      std::make_unique<CopyKernel>(context_, stream_, device_, device_.target.value(), options);
  const std::size_t bytes = std::min(std::size_t{2} << 30, device_.memory_bytes / 8);
  const double microseconds = copy_kernel_->microseconds(bytes, kSamples);
  copy_ = std::max(copy_, static_cast<double>(bytes) / (microseconds * 1e3));
}

std::shared_ptr<const BufferPool> GpuBench::pool_for(const BenchOp& op, const KernelSpec& spec,
                                                     const MatrixShape& shape) {
  const OpDefinition& definition = spec.op();
  auto pool = std::make_shared<BufferPool>();
  pool->args.resize(definition.args_size);
  op.fill(spec, shape, pool->args.data());
  // Addresses that are only recognised, never used.
  std::vector<std::size_t> offsets;
  for (const Param& param : definition.params) {
    if (param.type.ends_with('*') && op.gives(spec, param.name)) {
      const std::uintptr_t mark = (offsets.size() + 1) << 40;
      std::memcpy(pool->args.data() + param.offset, &mark, sizeof(mark));
      offsets.push_back(param.offset);
    }
  }
  PoolKey key{op.op, shape, spec, definition.regions(spec, pool->args.data())};
  if (pool_key_ && pool_key_->serves(key) && !pool_->updated) {
    return pool_;
  }
  pool_key_.reset();
  pool_.reset();
  std::size_t set = 0;
  for (const BufferRegion& region : key.regions) {
    pool->bytes += region.bytes;
    set += aligned(region.bytes);
    const auto mark = reinterpret_cast<std::uintptr_t>(region.pointer);
    pool->pointer_offsets.push_back(offsets.at((mark >> 40) - 1));
    pool->strides.push_back(aligned(region.bytes));
    pool->written_only.push_back(region.access == Access::write);
    pool->updated = pool->updated || region.access == Access::read_write;
  }
  pool->sets = std::clamp<std::size_t>(3 * device_.l2_bytes / set + 1, 2, kMostCalls);
  for (const BufferRegion& region : key.regions) {
    fill_buffer(op, spec, shape, region, *pool);
  }
  if (op.bytes != nullptr) {
    pool->bytes = op.bytes(spec, shape);
  }
  pool_ = std::move(pool);
  pool_key_.emplace(std::move(key));
  return pool_;
}

const std::vector<std::uint8_t>& GpuBench::pattern(const KernelSpec& spec, std::string_view buffer,
                                                   std::size_t bytes) {
  std::vector<std::uint8_t>& kept = patterns_[bench_content_kind(spec, buffer)];
  if (kept.size() < bytes) {
    kept = bench_content(spec, buffer, bytes);
  }
  return kept;
}

// The next buffer of the pool, for all sets.
void GpuBench::fill_buffer(const BenchOp& op, const KernelSpec& spec, const MatrixShape& shape,
                           const BufferRegion& region, BufferPool& pool) {
  const std::size_t stride = pool.strides[pool.buffers.size()];
  const std::size_t size = pool.sets * stride;
  pool.names.push_back(region.name);
  pool.buffers.push_back(std::make_unique<DeviceBuffer>(context_, std::max(size, kAlignment)));
  DeviceBuffer& buffer = *pool.buffers.back();
  if (region.access == Access::write || size == 0) {
    return;  // clear_outputs()
  }
  std::vector<std::uint8_t> exact;
  if (op.exact != nullptr) {
    exact = op.exact(spec, shape, region.name);
  }
  if (!exact.empty()) {
    // The same in each set; many at once where they are small.
    exact.resize(stride);
    const std::size_t copies = std::clamp<std::size_t>(kPattern / stride, 1, pool.sets);
    for (std::size_t copy = 1; copy < copies; ++copy) {
      exact.insert(exact.end(), exact.begin(), exact.begin() + static_cast<std::ptrdiff_t>(stride));
    }
  }
  const std::uint8_t* const content =
      exact.empty() ? pattern(spec, region.name, std::min(size, kPattern)).data() : exact.data();
  const std::size_t length = exact.empty() ? std::min(size, kPattern) : exact.size();
  buffer.upload(content, std::min(length, size), stream_.get());
  for (std::size_t at = length; at < size; at += length) {
    buffer.copy_from(buffer, std::min(length, size - at), stream_.get(), 0, at);
  }
  stream_.synchronize();
}

// A result that is left over from another variant must not pass for one of this.
void GpuBench::clear_outputs(const BufferPool& pool) {
  for (std::size_t i = 0; i < pool.buffers.size(); ++i) {
    if (pool.written_only[i]) pool.buffers[i]->fill(0, stream_.get());
  }
}

// The first set of a pool.
class GpuBench::Memory final : public BenchMemory {
 public:
  Memory(const BufferPool& pool, const Stream& stream) : pool_(pool), stream_(stream) {}

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
  const BufferPool& pool_;
  const Stream& stream_;
};

TimedCall GpuBench::prepare(const BenchOp& op, const KernelSpec& spec, const MatrixShape& shape) {
  const Kernel kernel = runtime_.prepare(spec);
  TimedCall timed;
  timed.pool = pool_for(op, spec, shape);
  const BufferPool& pool = *timed.pool;
  clear_outputs(pool);
  const std::size_t calls = std::max(pool.sets, kFewestCalls);
  const std::size_t parts = (calls + calls_a_replay_ - 1) / calls_a_replay_;
  std::vector<std::byte> args = pool.args;
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t first = calls * part / parts;
    const std::size_t last = calls * (part + 1) / parts;
    const auto body = [&] {
      for (std::size_t call = first; call < last; ++call) {
        for (std::size_t i = 0; i < pool.buffers.size(); ++i) {
          const std::uint8_t* p = pool.buffers[i]->data() + call % pool.sets * pool.strides[i];
          std::memcpy(args.data() + pool.pointer_offsets[i], &p, sizeof(p));
        }
        kernel.launch_args(op.op, args.data(), args.size(), stream_.get(), launch_options_);
      }
    };
    timed.parts.emplace_back(new TimedCall::Part{Graph(context_, stream_, body), last - first});
  }
  Event begin(context_);
  Event end(context_);
  for (std::size_t i = 0; i < std::max(kWarmUps, parts); ++i) {
    replay(*timed.parts[i % parts], begin, end);
  }
  return timed;
}

double GpuBench::replay(const TimedCall::Part& part, Event& begin, Event& end) {
  begin.record(stream_.get());
  part.graph.launch(stream_.get());
  end.record(stream_.get());
  end.synchronize();
  return Event::milliseconds(begin, end) * 1e3 / static_cast<double>(part.calls);
}

std::vector<double> GpuBench::time(TimedCall& call, std::size_t samples) {
  Event begin(context_);
  Event end(context_);
  std::vector<double> times;
  for (std::size_t i = 0; i < samples; ++i) {
    times.push_back(replay(*call.parts[call.next++ % call.parts.size()], begin, end));
  }
  return times;
}

Measurement GpuBench::measure(const BenchOp& op, const KernelSpec& spec, const MatrixShape& shape,
                              std::size_t samples) {
  TimedCall call = prepare(op, spec, shape);
  std::vector<double> times = time(call, samples);
  Measurement result;
  result.spec = spec.text();
  result.shape = shape;
  result.bytes = call.pool->bytes;
  result.sets = call.pool->sets;
  result.replays = samples;
  result.best_us = *std::min_element(times.begin(), times.end());
  result.median_us = median_of(std::move(times));
  if (copy_kernel_) {
    result.copy_us = copy_kernel_->microseconds(result.bytes, samples);
  }
  if (op.check != nullptr) {
    result.checked = true;
    result.difference = op.check(spec, shape, Memory(*call.pool, stream_));
  }
  return result;
}

}  // namespace fourge::tools
