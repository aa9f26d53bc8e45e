#include "tools/bench/copy_kernel.hpp"

#include <algorithm>
#include <array>
#include <fourge/error.hpp>
#include <limits>
#include <string>

#include "jit/nvrtc.hpp"
#include "jit/source_generator.hpp"
#include "tools/bench/median.hpp"
#include "tools/toolkit.hpp"

namespace fourge::tools {
namespace {

constexpr unsigned kThreads = 128;
constexpr std::size_t kVectorBytes = 16;
constexpr std::array<unsigned, 3> kVectors = {1, 2, 4};  // of a thread
constexpr std::size_t kFewestCalls = 4;
constexpr std::size_t kMostCalls = 4096;
constexpr std::size_t kWarmUps = 4;

constexpr const char* kSource = R"(
template <int kCount>
__device__ __forceinline__ void copy(const uint4* from, uint4* to, long long vectors) {
  const long long first = static_cast<long long>(blockIdx.x) * (kCount * 128) + threadIdx.x;
  uint4 v[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (first + i * 128 < vectors) v[i] = __ldg(from + first + i * 128);
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (first + i * 128 < vectors) to[first + i * 128] = v[i];
  }
}
extern "C" __global__ void __launch_bounds__(128) copy1(const uint4* f, uint4* t, long long n) { copy<1>(f, t, n); }
extern "C" __global__ void __launch_bounds__(128) copy2(const uint4* f, uint4* t, long long n) { copy<2>(f, t, n); }
extern "C" __global__ void __launch_bounds__(128) copy4(const uint4* f, uint4* t, long long n) { copy<4>(f, t, n); }
)";

std::size_t divided_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

}  // namespace

CopyKernel::CopyKernel(const DeviceContext& context, const Stream& stream, const DeviceInfo& device,
                       const Target& target, const Options& options)
    : context_(context), stream_(stream), device_(device) {
  const jit::NvrtcLocation location = find_nvrtc(options);
  if (location.path.empty()) {
    throw Error(ErrorKind::library_missing, "libnvrtc was not found; see fourge doctor");
  }
  const jit::CompileOutput output =
      jit::Nvrtc(location.path).compile(kSource, "copy", jit::nvrtc_options(target));
  if (!output.ok) {
    throw Error(ErrorKind::internal, "the copy kernel does not compile: " + output.log);
  }
  const CurrentContext current(context);
  for (const unsigned vectors : kVectors) {
    kernels_.push_back(
        std::make_unique<BareKernel>(output.cubin, "copy" + std::to_string(vectors)));
  }
}

double CopyKernel::time(BareKernel& kernel, unsigned vectors, std::size_t bytes,
                        std::size_t samples) {
  const std::size_t count = std::max<std::size_t>(1, divided_up(bytes / 2, kVectorBytes));
  const std::size_t stride = divided_up(count * kVectorBytes, 256) * 256;
  const std::size_t sets =
      std::clamp<std::size_t>(3 * device_.l2_bytes / (2 * stride) + 1, 2, kMostCalls);
  DeviceBuffer from(context_, sets * stride);
  DeviceBuffer to(context_, sets * stride);
  from.fill(0x5A, stream_.get());
  LaunchShape shape;
  shape.block[0] = kThreads;
  shape.grid[0] = static_cast<std::uint32_t>(divided_up(count, std::size_t{vectors} * kThreads));
  const std::uint8_t* read = nullptr;
  std::uint8_t* written = nullptr;
  auto length = static_cast<long long>(count);
  const std::array<void*, 3> params = {&read, &written, &length};
  const std::size_t calls = std::max(sets, kFewestCalls);
  const CurrentContext current(context_);
  kernel.prepare(shape, params, stream_.get());
  const Graph graph(context_, stream_, [&] {
    for (std::size_t call = 0; call < calls; ++call) {
      read = from.data() + call % sets * stride;
      written = to.data() + call % sets * stride;
      kernel.launch();
    }
  });
  Event begin(context_);
  Event end(context_);
  std::vector<double> times;
  for (std::size_t i = 0; i < kWarmUps + samples; ++i) {
    begin.record(stream_.get());
    graph.launch(stream_.get());
    end.record(stream_.get());
    end.synchronize();
    if (i >= kWarmUps) {
      times.push_back(Event::milliseconds(begin, end) * 1e3 / static_cast<double>(calls));
    }
  }
  return median_of(std::move(times));
}

double CopyKernel::microseconds(std::size_t bytes, std::size_t samples) {
  if (const auto known = known_.find(bytes); known != known_.end()) {
    return known->second;
  }
  double best = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < kVectors.size(); ++i) {
    best = std::min(best, time(*kernels_[i], kVectors[i], bytes, samples));
  }
  known_.emplace(bytes, best);
  return best;
}

}  // namespace fourge::tools
