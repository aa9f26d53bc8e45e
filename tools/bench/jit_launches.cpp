#include <array>
#include <chrono>
#include <fourge/device.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/nvfp4_quantize_per_token.hpp>
#include <fourge/runtime.hpp>
#include <thread>

#include "tools/bench/bare_launch.hpp"
#include "tools/bench/jit_bench.hpp"

namespace fourge::tools {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBatches = 101;
constexpr std::size_t kLaunchesABatch = 256;  // fewer than a stream takes before a launch waits
constexpr std::size_t kHitsARound = 4000;
constexpr std::size_t kRounds = 51;
constexpr std::size_t kThreads = 16;
constexpr std::int64_t kColumns = 256;

// Codes and block scales of one small row, whatever the layout.
struct Buffers {
  explicit Buffers(const DeviceContext& context)
      : x(context, 2 * kColumns), codes(context, kColumns), scales(context, 65536) {}
  DeviceBuffer x;
  DeviceBuffer codes;
  DeviceBuffer scales;
};

template <class Launch>
double batch_nanoseconds(const Stream& stream, const Launch& launch) {
  const auto start = Clock::now();
  for (std::size_t i = 0; i < kLaunchesABatch; ++i) launch();
  const auto took = Clock::now() - start;
  stream.synchronize();
  return std::chrono::duration<double, std::nano>(took).count() /
         static_cast<double>(kLaunchesABatch);
}

template <class Args>
void compare(Runtime& runtime, const KernelSpec& spec, const Args& args, const DeviceInfo& device,
             const Stream& stream, const FigureReport& report) {
  const Kernel kernel = runtime.prepare(spec);
  const auto artifact = runtime.build(spec);
  BareKernel bare(artifact->cubin, artifact->entry_name);
  Args own = args;
  std::vector<void*> params;
  for (const Param& param : spec.op().params) {
    params.push_back(reinterpret_cast<std::byte*>(&own) + param.offset);
  }
  bare.prepare(spec.op().launch_shape(spec, &own, DeviceFacts{device.multiprocessors}), params,
               stream.get());
  std::array<std::vector<double>, 3> times;
  const auto measure = [&](std::size_t which) {
    times[which].push_back(batch_nanoseconds(stream, [&] {
      if (which == 0) {
        bare.launch();
      } else if (which == 1) {
        bare.launch_for_any_context();
      } else {
        kernel.launch(args, stream.get());
      }
    }));
  };
  std::vector<double> beyond_function;
  std::vector<double> beyond_kernel;
  for (std::size_t i = 0; i < kBatches; ++i) {
    // None is always the first, which finds the GPU at rest for longer.
    for (std::size_t turn = 0; turn < times.size(); ++turn) measure((i + turn) % times.size());
    beyond_function.push_back(times[2].back() - times[0].back());
    beyond_kernel.push_back(times[2].back() - times[1].back());
  }
  const std::string text = spec.text_without_target();
  report({"bare cuLaunchKernelEx of a function, " + text, median_of(times[0]), "ns"});
  report({"  the same of a kernel, for any context", median_of(times[1]), "ns"});
  report({"launch through the handle, in any context", median_of(times[2]), "ns"});
  report({"  beyond the bare call of a function", median_of(beyond_function), "ns", 50});
  report({"  beyond that of a kernel", median_of(beyond_kernel), "ns", 50});
}

double prepare_nanoseconds(Runtime& runtime, const KernelSpec& spec, std::size_t rounds) {
  std::vector<double> samples;
  for (std::size_t round = 0; round < rounds; ++round) {
    const double start = thread_cpu_nanoseconds();
    for (std::size_t i = 0; i < kHitsARound; ++i) runtime.prepare(spec);
    samples.push_back((thread_cpu_nanoseconds() - start) / static_cast<double>(kHitsARound));
  }
  return median_of(std::move(samples));
}

void measure_prepare(Runtime& runtime, const KernelSpec& spec, const DeviceContext& context,
                     const FigureReport& report) {
  runtime.prepare(spec);
  const double alone = prepare_nanoseconds(runtime, spec, kRounds);
  report({"memory hit: Runtime::prepare", alone, "ns", 100});
  std::vector<double> each(kThreads);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const CurrentContext current(context);
      each[i] = prepare_nanoseconds(runtime, spec, kRounds / 4);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double together = median_of(std::move(each));
  report({"  the same on 16 threads, CPU time of each", together, "ns", 100});
  report({"  16 threads over one", together / alone, "x", 1.25});
}

}  // namespace

void measure_launches(const Options& options, int ordinal, const FigureReport& report) {
  const DeviceContext context(ordinal);
  const Stream stream(context);
  DeviceInfo device;
  for (const DeviceInfo& one : list_devices()) {
    if (one.ordinal == ordinal) device = one;
  }
  Runtime runtime(options);
  const Buffers buffers(context);
  const Target target = runtime.device_target();
  measure_prepare(runtime, KernelSpec(nvfp4_quantize_op(), target), context, report);
  for (const char* text : {"nvfp4_quantize[]", "nvfp4_quantize[layout=128x4]"}) {
    Nvfp4QuantizeArgs args;
    args.x = buffers.x.data();
    args.codes = buffers.codes.data();
    args.scales = buffers.scales.data();
    args.global_scale_value = 448;
    args.rows = 1;
    args.cols = kColumns;
    compare(runtime, KernelSpec::parse(text, target), args, device, stream, report);
  }
}

}  // namespace fourge::tools
