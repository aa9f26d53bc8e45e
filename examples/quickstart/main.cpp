// Quantizes one block of numbers to NVFP4, on the GPU or, where there is none, on the CPU, and prints
// the bytes. The kernel is compiled by the first run on a machine and comes from the cache afterwards.
#include <fourge/device.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/runtime.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <vector>

namespace {

constexpr std::int64_t kRows = 1;
constexpr std::int64_t kCols = 16;

// bfloat16 is the upper half of a float. These have no lower half: 0, 0.5, 1, ..., 5.5, 6, -6, -0.25, -0.
constexpr std::array<std::uint16_t, kCols> kInput = {0x0000, 0x3F00, 0x3F80, 0x3FC0, 0x4000, 0x4020,
                                                     0x4040, 0x4060, 0x4080, 0x4090, 0x40A0, 0x40B0,
                                                     0x40C0, 0xC0C0, 0xBE80, 0x8000};

// What the kernel writes: sixteen 4-bit codes and one scale.
struct Output {
  std::array<std::uint8_t, kCols / 2> codes{};
  std::array<std::uint8_t, 1> scales{};
};

// [readme]
// Any stream, any context of your own: these are device pointers.
void quantize(fourge::Runtime& runtime, const void* x, std::uint8_t* codes, std::uint8_t* scales,
              std::int64_t rows, std::int64_t cols, CUstream_st* stream) {
  const auto spec = fourge::KernelSpec::parse("nvfp4_quantize[in=bf16,layout=linear,math=exact]",
                                              runtime.device_target());
  // Compiles at most once on this machine; afterwards it is a look-up. Keep the handle to save that.
  const fourge::Kernel kernel = runtime.prepare(spec);

  fourge::Nvfp4QuantizeArgs args;
  args.x = x;
  args.codes = codes;
  args.scales = scales;
  args.global_scale_value = 448.0F;  // 448 * 6 / amax, here for amax 6
  args.rows = rows;
  args.cols = cols;
  kernel.launch(args, stream);  // asynchronous; no lock, no hash, no allocation
}
// [/readme]

Output on_gpu(fourge::Runtime& runtime, int device) {
  const fourge::DeviceContext context(device);
  const fourge::Stream stream(context);
  fourge::DeviceBuffer x(context, sizeof(kInput));
  fourge::DeviceBuffer codes(context, sizeof(Output::codes));
  fourge::DeviceBuffer scales(context, sizeof(Output::scales));
  x.upload(kInput.data(), sizeof(kInput), stream.get());
  quantize(runtime, x.data(), codes.data(), scales.data(), kRows, kCols, stream.get());
  Output output;
  codes.download(output.codes.data(), output.codes.size(), stream.get());
  scales.download(output.scales.data(), output.scales.size(), stream.get());
  stream.synchronize();
  return output;
}

// The same kernel source, run by the CPU: host pointers, and the call is done when it returns.
Output on_cpu(fourge::Runtime& runtime) {
  alignas(32) std::array<std::uint16_t, kCols> x = kInput;
  alignas(16) Output output;
  alignas(16) std::array<std::uint8_t, 16> scales{};
  fourge::Nvfp4QuantizeArgs args;
  args.x = x.data();
  args.codes = output.codes.data();
  args.scales = scales.data();
  args.global_scale_value = 448.0F;
  args.rows = kRows;
  args.cols = kCols;
  runtime.prepare_host(fourge::KernelSpec::parse("nvfp4_quantize@sm_90a")).launch(args);
  output.scales[0] = scales[0];
  return output;
}

void run() {
  fourge::Runtime runtime;
  const auto devices = fourge::list_devices();
  const auto known = std::find_if(devices.begin(), devices.end(),
                                  [](const auto& device) { return device.target.has_value(); });
  const bool gpu = known != devices.end();
  std::printf("on %s\n", gpu ? known->name.c_str() : "the CPU (host execution)");

  const Output output = gpu ? on_gpu(runtime, known->ordinal) : on_cpu(runtime);
  std::printf("scale %02X, codes", output.scales[0]);
  for (const std::uint8_t byte : output.codes) {
    std::printf(" %02X", byte);
  }
  const fourge::Stats stats = runtime.stats();
  std::printf("\nkernel %s\n", stats.disk_hits > 0 ? "from the disk cache" : "compiled");
}

}  // namespace

int main() {
  try {
    run();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "quickstart: %s\n", error.what());
    return 1;
  }
}
