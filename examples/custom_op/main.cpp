// custom_op TEMPLATE_DIRECTORY: runs scaled_cast on the CPU, compares with bytes known by hand, and
// builds the cubin that a GPU would get.
#include <fourge/runtime.hpp>

#include <array>
#include <cstdint>
#include <cstdio>
#include <exception>

#include "scaled_cast.hpp"

namespace {

constexpr std::size_t kCols = 16;

// As bfloat16: 0, 0.5, 1, -1, 1.125, 1.0625, 1.1875, 224, 1e9, -1e9, 2^-10, 2^-11, 3 * 2^-11, -0, NaN, 3
constexpr std::array<std::uint16_t, kCols> kInput = {0x0000, 0x3F00, 0x3F80, 0xBF80, 0x3F90, 0x3F88,
                                                     0x3F98, 0x4360, 0x4E6E, 0xCE6E, 0x3A80, 0x3A00,
                                                     0x3AC0, 0x8000, 0x7FC0, 0x4040};
// Times 2, as E4M3. 2.125 and 2.375 lie between two codes and go to the even one, as does 2^-10.
constexpr std::array<std::uint8_t, kCols> kExpected = {
    0x00, 0x38, 0x40, 0xC0, 0x41, 0x40, 0x42, 0x7E, 0x7E, 0xFE, 0x01, 0x00, 0x02, 0x80, 0x7F, 0x4C};

bool run(const char* template_directory) {
  fourge::Options options = fourge::Options::from_environment();
  options.ops.add(scaled_cast_op(), template_directory);
  fourge::Runtime runtime(options);
  const fourge::KernelSpec spec = runtime.parse("scaled_cast[in=bf16,scale=tensor]@sm_90a");

  alignas(32) std::array<std::uint16_t, kCols> x = kInput;
  alignas(16) std::array<std::uint8_t, kCols> codes{};
  ScaledCastArgs args;
  args.x = x.data();
  args.codes = codes.data();
  args.scale = 2.0F;
  args.rows = 1;
  args.cols = kCols;
  runtime.prepare_host(spec).launch(args);
  const bool right = codes == kExpected;
  std::printf("%s on the CPU: %s\n", spec.text().c_str(), right ? "all codes right" : "WRONG");

  const auto artifact = runtime.build(spec);
  std::printf("cubin of %s: %s\n", artifact->entry_name.c_str(),
              fourge::to_string(artifact->origin));
  // On a GPU, in a current context:
  //   const fourge::Kernel kernel = runtime.prepare(
  //       runtime.parse("scaled_cast[scale=tensor]", runtime.device_target()));
  //   kernel.launch(args, stream);
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return argc == 2 && run(argv[1]) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "custom_op: %s\n", error.what());
    return 1;
  }
}
