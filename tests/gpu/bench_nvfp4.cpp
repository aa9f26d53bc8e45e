// Times nvfp4_quantize on the first device, beside the device's own copy in the same run.
//
//   bench_nvfp4 [--json FILE] [--samples N] [--shape RxC]... [--axes in=bf16,layout=linear,...]...
//
// Calls are captured into CUDA graphs. They rotate through so many sets of buffers that a set has
// left the L2 cache (more than three times its size goes by) when its turn comes again. A sample is
// one replay, timed with events; the median of the samples is reported for one call.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fourge/device.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/runtime.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/gpu/bench_report.hpp"

namespace fourge::bench {
namespace {

struct Shape {
  std::int64_t rows;
  std::int64_t cols;
};

struct Settings {
  std::string json;
  std::size_t samples = 40;
  std::vector<Shape> shapes = {{1, 7168},    {16, 7168},    {128, 7168},  {1024, 7168},
                               {4096, 7168}, {16384, 7168}, {8192, 16384}};
  std::vector<std::string> axes;  // empty: all variants for bf16
};

constexpr std::size_t kWarmUps = 5;
constexpr std::size_t kMostCallsPerGraph = 256;
constexpr std::size_t kFewestCallsPerGraph = 4;
constexpr std::size_t kAlignment = 256;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// Bell-shaped bf16 numbers around zero, the same in every run.
std::vector<std::uint16_t> random_bf16(std::size_t count) {
  std::vector<std::uint16_t> values(count);
  std::uint64_t state = 0x9e3779b97f4a7c15U;
  for (auto& value : values) {
    float sum = -2.0F;
    for (int i = 0; i < 4; ++i) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      sum += static_cast<float>(state >> 40) * 0x1p-24F;
    }
    std::uint32_t bits = 0;
    std::memcpy(&bits, &sum, sizeof(bits));
    value = static_cast<std::uint16_t>(bits >> 16);
  }
  return values;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

class Bench {
 public:
  explicit Bench(const Settings& settings);
  void run();

 private:
  void measure_copy();
  // Buffers for all variants on one shape.
  struct Pool {
    std::size_t sets;
    std::size_t x_stride;
    std::size_t codes_stride;
    std::size_t scales_stride;
    std::unique_ptr<DeviceBuffer> x;
    std::unique_ptr<DeviceBuffer> codes;
    std::unique_ptr<DeviceBuffer> scales;
  };
  Pool make_pool(const Shape& shape);
  Measurement measure(const Kernel& kernel, const Shape& shape, const Pool& pool);
  std::vector<std::unique_ptr<Graph>> capture(const Kernel& kernel, const Shape& shape,
                                              const Pool& pool, std::size_t calls);
  double time_replay(const Graph& graph, Event& begin, Event& end);

  Settings settings_;
  Report report_;
  DeviceContext context_;
  Stream stream_;
  Runtime runtime_;
  std::vector<std::uint16_t> random_;
};

Bench::Bench(const Settings& settings)
    : settings_(settings), context_(0), stream_(context_), random_(random_bf16(16U << 20)) {
  report_.device = list_devices().at(0);
  report_.driver_version = driver_version();
}

void Bench::measure_copy() {
  constexpr std::size_t kBytes = std::size_t{2} << 30;
  DeviceBuffer from(context_, kBytes);
  DeviceBuffer to(context_, kBytes);
  Event begin(context_);
  Event end(context_);
  for (int repeat = 0; repeat < 12; ++repeat) {
    begin.record(stream_.get());
    to.copy_from(from, kBytes, stream_.get());
    end.record(stream_.get());
    end.synchronize();
    const double rate = 2.0 * static_cast<double>(kBytes) / (Event::milliseconds(begin, end) * 1e6);
    if (repeat >= 2) {
      report_.copy_gigabytes_per_second = std::max(report_.copy_gigabytes_per_second, rate);
    }
  }
}

Bench::Pool Bench::make_pool(const Shape& shape) {
  const auto elements = static_cast<std::size_t>(shape.rows * shape.cols);
  Pool pool;
  pool.x_stride = aligned(elements * 2);
  pool.codes_stride = aligned(elements / 2);
  pool.scales_stride = aligned(nvfp4_scale_bytes("128x4", shape.rows, shape.cols));
  // Input and codes alone exceed three times the L2: the scales of small shapes are mostly padding.
  const std::size_t set = pool.x_stride + pool.codes_stride;
  pool.sets = std::max<std::size_t>(2, 3 * report_.device.l2_bytes / set + 1);
  pool.x = std::make_unique<DeviceBuffer>(context_, pool.sets * pool.x_stride);
  pool.codes = std::make_unique<DeviceBuffer>(context_, pool.sets * pool.codes_stride);
  pool.scales = std::make_unique<DeviceBuffer>(context_, pool.sets * pool.scales_stride);
  const std::size_t random_bytes = random_.size() * 2;
  for (std::size_t at = 0; at < pool.x->size(); at += random_bytes) {
    pool.x->upload(random_.data(), std::min(random_bytes, pool.x->size() - at), stream_.get(), at);
  }
  stream_.synchronize();
  return pool;
}

std::vector<std::unique_ptr<Graph>> Bench::capture(const Kernel& kernel, const Shape& shape,
                                                   const Pool& pool, std::size_t calls) {
  std::vector<std::unique_ptr<Graph>> graphs;
  std::size_t set = 0;
  for (std::size_t done = 0; done < std::max(pool.sets, calls); done += calls) {
    graphs.push_back(std::make_unique<Graph>(context_, stream_, [&] {
      for (std::size_t call = 0; call < calls; ++call, set = (set + 1) % pool.sets) {
        Nvfp4QuantizeArgs args;
        args.x = pool.x->data() + set * pool.x_stride;
        args.codes = pool.codes->data() + set * pool.codes_stride;
        args.scales = pool.scales->data() + set * pool.scales_stride;
        args.global_scale_value = 448.0F * 6.0F / 2.0F;
        args.rows = shape.rows;
        args.cols = shape.cols;
        kernel.launch(args, stream_.get());
      }
    }));
  }
  return graphs;
}

double Bench::time_replay(const Graph& graph, Event& begin, Event& end) {
  begin.record(stream_.get());
  graph.launch(stream_.get());
  end.record(stream_.get());
  end.synchronize();
  return Event::milliseconds(begin, end) * 1e3;
}

Measurement Bench::measure(const Kernel& kernel, const Shape& shape, const Pool& pool) {
  Measurement result;
  result.spec = kernel.spec().text();
  result.rows = shape.rows;
  result.cols = shape.cols;
  const auto elements = static_cast<std::size_t>(shape.rows * shape.cols);
  result.bytes = elements * 2 + elements / 2 +
                 nvfp4_scale_bytes(kernel.spec().get("layout"), shape.rows, shape.cols);
  result.buffers = pool.sets;
  result.calls_per_replay = std::clamp(pool.sets, kFewestCallsPerGraph, kMostCallsPerGraph);
  const auto graphs = capture(kernel, shape, pool, result.calls_per_replay);
  result.replays = std::max(settings_.samples, graphs.size());

  Event begin(context_);
  Event end(context_);
  std::vector<double> samples;
  for (std::size_t i = 0; i < kWarmUps + result.replays; ++i) {
    const double time = time_replay(*graphs[i % graphs.size()], begin, end);
    if (i >= kWarmUps) samples.push_back(time / static_cast<double>(result.calls_per_replay));
  }
  result.median_microseconds = median(samples);
  result.best_microseconds = *std::min_element(samples.begin(), samples.end());
  return result;
}

void Bench::run() {
  measure_copy();
  print_header(report_);
  const Target target = runtime_.device_target();
  std::vector<KernelSpec> specs;
  for (const std::string& axes : settings_.axes) {
    specs.push_back(KernelSpec::parse("nvfp4_quantize[" + axes + "]", target));
  }
  if (specs.empty()) {
    for (const KernelSpec& spec : legal_variants(nvfp4_quantize_op(), target)) {
      if (spec.get("in") == "bf16" && spec.get("scale") == "tensor" && spec.get("4over6") == "off")
        specs.push_back(spec);
    }
  }
  for (const Shape& shape : settings_.shapes) {
    const Pool pool = make_pool(shape);
    for (const KernelSpec& spec : specs) {
      report_.measurements.push_back(measure(runtime_.prepare(spec), shape, pool));
      print_row(report_, report_.measurements.back());
    }
  }
  if (!settings_.json.empty()) write_json(report_, settings_.json);
}

Shape parse_shape(const std::string& text) {
  Shape shape{};
  char x = 0;
  if (std::sscanf(text.c_str(), "%ld%c%ld", &shape.rows, &x, &shape.cols) != 3 || x != 'x' ||
      shape.rows <= 0 || shape.cols <= 0) {
    throw std::runtime_error("not a shape: " + text + "; expected ROWSxCOLS");
  }
  return shape;
}

Settings parse(const std::vector<std::string>& words) {
  Settings settings;
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    if (i + 1 == words.size()) throw std::runtime_error(words[i] + " needs a value");
    const std::string& value = words[i + 1];
    if (words[i] == "--json") {
      settings.json = value;
    } else if (words[i] == "--samples") {
      settings.samples = std::max<std::size_t>(30, std::stoul(value));
    } else if (words[i] == "--shape") {
      shapes.push_back(parse_shape(value));
    } else if (words[i] == "--axes") {
      settings.axes.push_back(value);
    } else {
      throw std::runtime_error("unknown option " + words[i] +
                               "; known: --json, --samples, --shape, --axes");
    }
  }
  if (!shapes.empty()) settings.shapes = shapes;
  return settings;
}

}  // namespace
}  // namespace fourge::bench

int main(int argc, char* argv[]) {
  try {
    const auto settings = fourge::bench::parse({argv + 1, argv + argc});
    std::string reason;
    if (fourge::list_devices(&reason).empty()) {
      fmt::print("bench_nvfp4: no GPU: {}\n", reason);
      return 77;
    }
    fourge::bench::Bench(settings).run();
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_nvfp4: {}\n", error.what());
    return 1;
  }
}
