#include "tests/gpu/gpu_fixture.hpp"

#include <algorithm>
#include <cstring>
#include <fourge/error.hpp>
#include <stdexcept>
#include <thread>

namespace fourge::tests {
namespace {

constexpr std::size_t kGuard = 256;
constexpr std::uint8_t kPoison = 0xA5;

Gpu* the_gpu = nullptr;

// No disk cache: these tests depend on nothing outside the process.
Options memory_only() {
  Options options = Options::from_environment();
  options.cache_directory.clear();
  return options;
}

std::string bytes_text(const char* what, std::size_t at) {
  return std::string(what) + " was overwritten at byte " + std::to_string(at);
}

}  // namespace

Gpu::Gpu() : info_(list_devices().at(0)), context_(0), runtime_(memory_only()) { the_gpu = this; }

Gpu::~Gpu() { the_gpu = nullptr; }

Gpu& Gpu::get() {
  if (the_gpu == nullptr) throw std::logic_error("main() made no Gpu");
  return *the_gpu;
}

Kernel Gpu::prepare(const std::string& axes) {
  return runtime_.prepare(KernelSpec::parse("nvfp4_quantize[" + axes + "]", target()));
}

reference::Nvfp4Problem problem_for(const KernelSpec& spec, std::span<const std::uint16_t> x,
                                    std::int64_t rows, std::int64_t cols, float global_scale) {
  reference::Nvfp4Problem problem;
  problem.x = x;
  problem.type =
      spec.get("in") == "f16" ? reference::ElementType::f16 : reference::ElementType::bf16;
  problem.rows = rows;
  problem.cols = cols;
  problem.global_scale = global_scale;
  problem.math =
      spec.get("math") == "fast" ? reference::MathMode::fast : reference::MathMode::exact;
  problem.layout = reference::parse_scale_layout(spec.get("layout"));
  return problem;
}

QuantizeCall::QuantizeCall(const DeviceContext& context, const reference::Nvfp4Problem& problem,
                           bool device_scale)
    : problem_(problem),
      scale_bytes_(problem.scale_matrix().bytes()),
      x_(context, problem.x.size_bytes() + 2 * kGuard),
      codes_(context, problem.x.size() / 2 + 2 * kGuard),
      scales_(context, scale_bytes_ + 2 * kGuard),
      scale_(context, sizeof(float)) {
  args_.x = x_.data() + kGuard;
  args_.codes = codes_.data() + kGuard;
  args_.scales = scales_.data() + kGuard;
  if (device_scale) {
    args_.global_scale = reinterpret_cast<const float*>(scale_.data());
    args_.global_scale_value = -1.0F;  // not looked at
  } else {
    args_.global_scale_value = problem.global_scale;
  }
  args_.rows = problem.rows;
  args_.cols = problem.cols;
}

void QuantizeCall::prepare(CUstream_st* stream) {
  x_.fill(kPoison, stream);
  codes_.fill(kPoison, stream);
  scales_.fill(kPoison, stream);
  x_.upload(problem_.x.data(), problem_.x.size_bytes(), stream, kGuard);
  scale_.upload(&problem_.global_scale, sizeof(float), stream);
}

std::vector<std::uint8_t> QuantizeCall::download_guarded(const DeviceBuffer& buffer,
                                                         std::size_t bytes, const Stream& stream,
                                                         const char* name) const {
  std::vector<std::uint8_t> all(bytes + 2 * kGuard);
  buffer.download(all.data(), all.size(), stream.get());
  stream.synchronize();
  for (std::size_t i = 0; i < kGuard; ++i) {
    if (all[i] != kPoison) throw std::runtime_error(bytes_text(name, i) + " of the guard before");
    if (all[kGuard + bytes + i] != kPoison) {
      throw std::runtime_error(bytes_text(name, i) + " of the guard behind");
    }
  }
  return {all.begin() + kGuard, all.end() - kGuard};
}

reference::Nvfp4Output QuantizeCall::finish(const Stream& stream) const {
  stream.synchronize();
  const auto x = download_guarded(x_, problem_.x.size_bytes(), stream, "x");
  if (!x.empty() && std::memcmp(x.data(), problem_.x.data(), x.size()) != 0) {
    throw std::runtime_error("the input was overwritten");
  }
  reference::Nvfp4Output output;
  output.codes = download_guarded(codes_, problem_.x.size() / 2, stream, "codes");
  output.scales = download_guarded(scales_, scale_bytes_, stream, "scales");
  return output;
}

reference::Nvfp4Output quantize_on(const DeviceContext& context, const Kernel& kernel,
                                   const reference::Nvfp4Problem& problem, bool device_scale,
                                   const LaunchOptions& options) {
  const Stream stream(context);
  QuantizeCall call(context, problem, device_scale);
  call.prepare(stream.get());
  kernel.launch(call.args(), stream.get(), options);
  return call.finish(stream);
}

bool same(const reference::Nvfp4Output& a, const reference::Nvfp4Output& b) {
  return a.codes == b.codes && a.scales == b.scales;
}

unsigned reference_threads() { return std::clamp(std::thread::hardware_concurrency(), 1U, 16U); }

}  // namespace fourge::tests
