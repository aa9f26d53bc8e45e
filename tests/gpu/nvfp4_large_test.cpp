// Large inputs: up to 16384x7168, and one of more than 2^31 elements.
#include <algorithm>
#include <cstring>

#include "tests/gpu/gpu_fixture.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"

namespace fourge::tests {
namespace {

constexpr std::int64_t kCols = 7168;

// Rows of the repeated piece: a prime, so that a row taken for another shows.
constexpr std::int64_t kTileRows = 1009;
// 300037 * 7168 is just above 2^31, and 300037 is no multiple of a layout's tile.
constexpr std::int64_t kHugeRows = 300037;

std::uint64_t differing_rows(const std::vector<std::uint8_t>& part, std::int64_t first_row,
                             const std::vector<std::uint8_t>& tile, std::size_t row_bytes) {
  std::uint64_t different = 0;
  const auto rows = static_cast<std::int64_t>(part.size() / row_bytes);
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto at = static_cast<std::size_t>(row) * row_bytes;
    const auto tile_at = static_cast<std::size_t>((first_row + row) % kTileRows) * row_bytes;
    if (std::memcmp(part.data() + at, tile.data() + tile_at, row_bytes) != 0) ++different;
  }
  return different;
}

// Downloads and compares all codes, some rows at a time.
std::uint64_t check_codes(const DeviceBuffer& codes, const std::vector<std::uint8_t>& tile,
                          const Stream& stream) {
  constexpr std::int64_t kRowsAtOnce = 16384;
  constexpr std::size_t kRowBytes = static_cast<std::size_t>(kCols) / 2;
  std::uint64_t different = 0;
  std::vector<std::uint8_t> part;
  for (std::int64_t row = 0; row < kHugeRows; row += kRowsAtOnce) {
    part.resize(static_cast<std::size_t>(std::min(kRowsAtOnce, kHugeRows - row)) * kRowBytes);
    codes.download(part.data(), part.size(), stream.get(),
                   static_cast<std::size_t>(row) * kRowBytes);
    stream.synchronize();
    different += differing_rows(part, row, tile, kRowBytes);
  }
  return different;
}

std::uint64_t check_scales(const DeviceBuffer& scales, const reference::ScaleMatrix& matrix,
                           const std::vector<std::uint8_t>& tile, const Stream& stream) {
  std::vector<std::uint8_t> all(matrix.bytes());
  scales.download(all.data(), all.size(), stream.get());
  stream.synchronize();
  std::uint64_t different = 0;
  for (std::int64_t row = 0; row < matrix.padded_rows(); ++row) {
    const auto* expected = tile.data() + (row % kTileRows) * matrix.cols();
    for (std::int64_t col = 0; col < matrix.padded_cols(); ++col) {
      const bool padding = row >= matrix.rows() || col >= matrix.cols();
      const std::uint8_t want = padding ? std::uint8_t{0} : expected[col];
      if (all[matrix.offset(row, col)] != want) ++different;
    }
  }
  return different;
}

// Repeats the tile over the buffer.
void fill_with_tile(DeviceBuffer& x, std::span<const std::uint16_t> tile, std::size_t bytes,
                    const Stream& stream) {
  x.upload(tile.data(), tile.size_bytes(), stream.get());
  std::size_t filled = tile.size_bytes();
  while (filled < bytes) {
    const std::size_t more = std::min(filled, bytes - filled);
    x.copy_from(x, more, stream.get(), 0, filled);
    filled += more;
  }
  stream.synchronize();
}

}  // namespace

TEST_CASE("large inputs equal the reference", "[large]") {
  Gpu& gpu = Gpu::get();
  constexpr std::int64_t kRows = 16384;
  const auto all = make_input(Pattern::random, reference::ElementType::bf16, kRows, kCols, 3);
  for (const char* axes : {"layout=linear,tpc=1", "layout=128x4,tpc=1", "layout=8x4,tpc=2",
                           "layout=128x4,tpc=4", "layout=128x4,math=fast,tpc=2"}) {
    const Kernel kernel = gpu.prepare(axes);
    for (const std::int64_t rows : {std::int64_t{1000}, std::int64_t{4096}, kRows}) {
      const auto x = std::span(all).first(static_cast<std::size_t>(rows * kCols));
      const auto problem = problem_for(kernel.spec(), x, rows, kCols,
                                       te_global_scale(x, reference::ElementType::bf16));
      const auto expected = reference::quantize_nvfp4(problem, reference_threads());
      const auto output = quantize_on(gpu.context(), kernel, problem);
      INFO(kernel.spec().text() << " " << rows << "x" << kCols);
      if (problem.math == reference::MathMode::exact) {
        CHECK(same(expected, output));
      } else {
        const auto report = reference::compare_nvfp4(problem, expected, output);
        INFO(report.first);
        CHECK(report.ok());
        WARN(kernel.spec().text() << " " << rows << "x" << kCols << ": " << report.excused_codes
                                  << " codes excused near a tie");
      }
    }
  }
}

TEST_CASE("more than 2^31 elements", "[large][huge]") {
  static_assert(kHugeRows * kCols > std::int64_t{1} << 31);
  Gpu& gpu = Gpu::get();
  constexpr std::size_t kElements = static_cast<std::size_t>(kHugeRows * kCols);
  if (gpu.info().memory_bytes < (std::size_t{8} << 30)) {
    WARN("the device has less than 8 GiB: not checked");
    return;
  }
  const auto type = reference::ElementType::bf16;
  const auto tile = make_input(Pattern::random, type, kTileRows, kCols, 9);
  const float scale = te_global_scale(tile, type);
  const Stream stream(gpu.context());
  DeviceBuffer x(gpu.context(), kElements * 2);
  fill_with_tile(x, tile, kElements * 2, stream);
  DeviceBuffer codes(gpu.context(), kElements / 2);

  auto tile_problem =
      problem_for(KernelSpec(nvfp4_quantize_op(), gpu.target()), tile, kTileRows, kCols, scale);
  tile_problem.layout = reference::ScaleLayout::linear;
  const auto expected = reference::quantize_nvfp4(tile_problem, reference_threads());

  for (const char* axes :
       {"layout=linear,tpc=1", "layout=128x4,tpc=1", "layout=128x4,tpc=4", "layout=8x4,tpc=2"}) {
    const Kernel kernel = gpu.prepare(axes);
    const reference::ScaleMatrix matrix(reference::parse_scale_layout(kernel.spec().get("layout")),
                                        kHugeRows, kCols / 16);
    DeviceBuffer scales(gpu.context(), matrix.bytes());
    codes.fill(0xA5, stream.get());
    scales.fill(0xA5, stream.get());
    Nvfp4QuantizeArgs args;
    args.x = x.data();
    args.codes = codes.data();
    args.scales = scales.data();
    args.global_scale_value = scale;
    args.rows = kHugeRows;
    args.cols = kCols;
    kernel.launch(args, stream.get());
    stream.synchronize();
    INFO(kernel.spec().text());
    CHECK(check_codes(codes, expected.codes, stream) == 0);
    CHECK(check_scales(scales, matrix, expected.scales, stream) == 0);
  }
}

}  // namespace fourge::tests
