// Block-FP8 SwiGLU on more than 2^31 elements: a piece of rows repeated,
// which must give what a call of the piece alone gives; and a call on a second device.
#include <fourge/moe_swiglu_fp8_block.hpp>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "tests/gpu/gpu_fixture.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

constexpr std::int64_t kCols = 2048;  // of y; a row of x has twice as many
constexpr std::int64_t kPiece = 61;   // rows that repeat, a prime
constexpr std::int64_t kBlocks = kCols / 128;

std::vector<std::uint8_t> piece_codes() {
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(kPiece * 2 * kCols));
  std::uint32_t state = 12345;
  for (std::uint8_t& code : codes) {
    state = state * 1664525U + 1013904223U;
    code = static_cast<std::uint8_t>((state >> 24) & 0xBFU);  // no NaN
  }
  return codes;
}

// Fills a buffer with copies of its first bytes.
void repeat(DeviceBuffer& buffer, std::size_t filled, CUstream_st* stream) {
  while (filled < buffer.size()) {
    const std::size_t more = std::min(filled, buffer.size() - filled);
    buffer.copy_from(buffer, more, stream, 0, filled);
    filled += more;
  }
}

struct SwigluRun {
  std::vector<std::uint8_t> y;
  std::vector<float> scales_of_last_block;
};

// A call with that many rows, each its own entry; scales are the same for all.
class SwigluCall {
 public:
  SwigluCall(const DeviceContext& context, std::int64_t rows)
      : rows_(rows),
        stream_(context),
        x_(context, static_cast<std::size_t>(rows * 2 * kCols)),
        x_scales_(context, static_cast<std::size_t>(rows * 2 * kBlocks) * 4),
        y_(context, static_cast<std::size_t>(rows * kCols)),
        y_scales_(context, static_cast<std::size_t>(rows * kBlocks) * 4),
        map_(context, static_cast<std::size_t>(rows) * 4),
        used_(context, 4) {
    const auto codes = piece_codes();
    x_.upload(codes.data(), std::min(codes.size(), x_.size()), stream_.get());
    repeat(x_, std::min(codes.size(), x_.size()), stream_.get());
    const std::vector<float> scale(1024, 0.01F);
    x_scales_.upload(scale.data(), std::min(scale.size() * 4, x_scales_.size()), stream_.get());
    repeat(x_scales_, std::min(scale.size() * 4, x_scales_.size()), stream_.get());
    std::vector<std::int32_t> map(static_cast<std::size_t>(rows));
    std::iota(map.begin(), map.end(), 0);
    map_.upload(map.data(), map_.size(), stream_.get());
    const auto used = static_cast<std::int32_t>(rows);
    used_.upload(&used, 4, stream_.get());
    y_.fill(0xA5, stream_.get());
    y_scales_.fill(0xA5, stream_.get());
    stream_.synchronize();
  }

  void launch(const Kernel& kernel) {
    MoeSwigluFp8BlockArgs args;
    args.x = x_.data();
    args.x_scales = reinterpret_cast<const float*>(x_scales_.data());
    args.y = y_.data();
    args.y_scales = reinterpret_cast<float*>(y_scales_.data());
    args.row_map = reinterpret_cast<const std::int32_t*>(map_.data());
    args.padded_rows = reinterpret_cast<const std::int32_t*>(used_.data());
    args.tokens = rows_;
    args.top_k = 1;
    args.cols = kCols;
    args.capacity = rows_;
    kernel.launch(args, stream_.get());
    stream_.synchronize();
  }

  // Rows from first on, and their scales in the last block.
  SwigluRun rows_from(std::int64_t first, std::int64_t count) const {
    SwigluRun run;
    run.y.resize(static_cast<std::size_t>(count * kCols));
    run.scales_of_last_block.resize(static_cast<std::size_t>(count));
    y_.download(run.y.data(), run.y.size(), stream_.get(), static_cast<std::size_t>(first * kCols));
    y_scales_.download(run.scales_of_last_block.data(), static_cast<std::size_t>(count) * 4,
                       stream_.get(), static_cast<std::size_t>((kBlocks - 1) * rows_ + first) * 4);
    stream_.synchronize();
    return run;
  }

 private:
  std::int64_t rows_;
  Stream stream_;
  DeviceBuffer x_;
  DeviceBuffer x_scales_;
  DeviceBuffer y_;
  DeviceBuffer y_scales_;
  DeviceBuffer map_;
  DeviceBuffer used_;
};

bool same_run(const SwigluRun& a, const SwigluRun& b) {
  return a.y == b.y && std::memcmp(a.scales_of_last_block.data(), b.scales_of_last_block.data(),
                                   4 * b.scales_of_last_block.size()) == 0;
}

}  // namespace

TEST_CASE("block-FP8 SwiGLU on more than 2^31 elements", "[moe][large][huge]") {
  Gpu& gpu = Gpu::get();
  constexpr std::int64_t kRows = kPiece * 18000;  // 1,098,000: y has 2.2 * 10^9, x twice as many
  static_assert(kRows * kCols > std::int64_t{1} << 31);
  if (gpu.info().memory_bytes < (std::size_t{16} << 30)) {
    WARN("the device has less than 16 GiB: not checked");
    return;
  }
  SwigluCall small(gpu.context(), kPiece);
  SwigluCall all(gpu.context(), kRows);
  for (const char* axes : {"tpc=1", "tpc=2", "tpc=4", "rows=inverse,tpc=4"}) {
    const Kernel kernel = gpu.runtime().prepare(
        KernelSpec::parse(std::string("moe_swiglu_fp8_block[") + axes + "]", gpu.target()));
    small.launch(kernel);
    all.launch(kernel);
    const SwigluRun expected = small.rows_from(0, kPiece);
    CHECK(std::count(expected.y.begin(), expected.y.end(), 0xA5) < std::ssize(expected.y) / 16);
    // The first rows, those around 2^31 elements of x and of y, and the last.
    for (const std::int64_t piece :
         {std::int64_t{0}, (std::int64_t{1} << 31) / (2 * kCols * kPiece),
          (std::int64_t{1} << 31) / (kCols * kPiece), kRows / kPiece - 1}) {
      INFO(axes << ", rows from " << piece * kPiece);
      CHECK(same_run(all.rows_from(piece * kPiece, kPiece), expected));
    }
  }
}

TEST_CASE("block-FP8 SwiGLU on a second device", "[moe]") {
  Gpu& gpu = Gpu::get();
  const auto devices = list_devices();
  if (devices.size() < 2 || !devices[1].target) {
    WARN("there is no second device: not checked");
    return;
  }
  const KernelSpec spec = KernelSpec::parse("moe_swiglu_fp8_block[tpc=2]", *devices[1].target);
  SwigluCall first(gpu.context(), kPiece);
  first.launch(
      gpu.runtime().prepare(KernelSpec::parse("moe_swiglu_fp8_block[tpc=2]", gpu.target())));
  const SwigluRun expected = first.rows_from(0, kPiece);
  const DeviceContext context(1);
  Runtime runtime;
  SwigluCall second(context, kPiece);
  second.launch(runtime.prepare(spec));
  CHECK(same_run(second.rows_from(0, kPiece), expected));
}

}  // namespace fourge::tests
