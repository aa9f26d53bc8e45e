// Operations whose rows do not depend on one another, on more than 2^31 elements: a piece of rows is
// repeated, and every row of the output must be the piece's, which a call of the piece alone made. That
// such calls are right is what the other tests show.
#include <fourge/fp8_quantize.hpp>
#include <fourge/mx_quantize.hpp>
#include <fourge/nvfp4_quantize_per_token.hpp>

#include <algorithm>
#include <cstring>
#include <functional>

#include "tests/gpu/gpu_fixture.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"

namespace fourge::tests {
namespace {

constexpr std::int64_t kCols = 7168;
constexpr std::int64_t kTileRows = 1009;  // a prime, so that a row taken for another shows
constexpr std::int64_t kRows = 300037;
static_assert(kRows * kCols > std::int64_t{1} << 31);

// An operation with linear scales: bytes of each of its outputs for a row, and the launch.
struct RowOp {
  std::string spec;
  std::vector<std::size_t> row_bytes;
  std::function<void(const Kernel&, const std::uint8_t* x, std::span<std::uint8_t* const> outputs,
                     std::int64_t rows, CUstream_st*)>
      launch;
};

std::vector<RowOp> row_ops() {
  constexpr std::size_t kRowElements = static_cast<std::size_t>(kCols);
  std::vector<RowOp> list;
  for (const char* row : {"registers", "looped"}) {
    list.push_back({std::string("nvfp4_quantize_per_token[layout=linear,row=") + row + "]",
                    {kRowElements / 2, kRowElements / 16, sizeof(float)},
                    [](const Kernel& kernel, const std::uint8_t* x,
                       std::span<std::uint8_t* const> out, std::int64_t rows, CUstream_st* stream) {
                      Nvfp4QuantizePerTokenArgs args;
                      args.x = x;
                      args.codes = out[0];
                      args.scales = out[1];
                      args.token_scales = reinterpret_cast<float*>(out[2]);
                      args.rows = rows;
                      args.cols = kCols;
                      kernel.launch(args, stream);
                    }});
  }
  list.push_back({"mxfp4_quantize[layout=linear]",
                  {kRowElements / 2, kRowElements / 32},
                  [](const Kernel& kernel, const std::uint8_t* x,
                     std::span<std::uint8_t* const> out, std::int64_t rows, CUstream_st* stream) {
                    kernel.launch(Mxfp4QuantizeArgs{x, out[0], out[1], rows, kCols}, stream);
                  }});
  list.push_back({"mxfp8_quantize[layout=linear]",
                  {kRowElements, kRowElements / 32},
                  [](const Kernel& kernel, const std::uint8_t* x,
                     std::span<std::uint8_t* const> out, std::int64_t rows, CUstream_st* stream) {
                    kernel.launch(Mxfp8QuantizeArgs{x, out[0], out[1], rows, kCols, kCols}, stream);
                  }});
  list.push_back({"fp8_quantize_1x128",
                  {kRowElements, kRowElements / 128 * sizeof(float)},
                  [](const Kernel& kernel, const std::uint8_t* x,
                     std::span<std::uint8_t* const> out, std::int64_t rows, CUstream_st* stream) {
                    Fp8Quantize1x128Args args;
                    args.x = x;
                    args.data = out[0];
                    args.scales = reinterpret_cast<float*>(out[1]);
                    args.rows = rows;
                    args.cols = kCols;
                    kernel.launch(args, stream);
                  }});
  return list;
}

struct Outputs {
  Outputs(const DeviceContext& context, const RowOp& op, std::int64_t rows, CUstream_st* stream) {
    buffers.reserve(op.row_bytes.size());
    for (const std::size_t bytes : op.row_bytes) {
      buffers.emplace_back(context, bytes * static_cast<std::size_t>(rows)).fill(0xA5, stream);
      addresses.push_back(buffers.back().data());
    }
  }
  std::vector<DeviceBuffer> buffers;
  std::vector<std::uint8_t*> addresses;
};

std::uint64_t differing_rows(const DeviceBuffer& buffer, std::size_t row_bytes,
                             const std::vector<std::uint8_t>& tile, const Stream& stream) {
  constexpr std::int64_t kRowsAtOnce = 16384;
  std::uint64_t different = 0;
  std::vector<std::uint8_t> part;
  for (std::int64_t first = 0; first < kRows; first += kRowsAtOnce) {
    const std::int64_t count = std::min(kRowsAtOnce, kRows - first);
    part.resize(static_cast<std::size_t>(count) * row_bytes);
    buffer.download(part.data(), part.size(), stream.get(),
                    static_cast<std::size_t>(first) * row_bytes);
    stream.synchronize();
    for (std::int64_t row = 0; row < count; ++row) {
      const auto tile_row = static_cast<std::size_t>((first + row) % kTileRows);
      different += std::memcmp(part.data() + static_cast<std::size_t>(row) * row_bytes,
                               tile.data() + tile_row * row_bytes, row_bytes) != 0
                       ? 1U
                       : 0U;
    }
  }
  return different;
}

}  // namespace

TEST_CASE("more than 2^31 elements: rows that do not depend on one another", "[large][huge]") {
  Gpu& gpu = Gpu::get();
  if (gpu.info().memory_bytes < (std::size_t{12} << 30)) {
    WARN("the device has less than 12 GiB: not checked");
    return;
  }
  constexpr std::size_t kTileBytes = static_cast<std::size_t>(kTileRows * kCols) * 2;
  constexpr std::size_t kBytes = static_cast<std::size_t>(kRows * kCols) * 2;
  const auto tile = make_input(Pattern::random, reference::ElementType::bf16, kTileRows, kCols, 9);
  const Stream stream(gpu.context());
  DeviceBuffer x(gpu.context(), kBytes);
  x.upload(tile.data(), kTileBytes, stream.get());
  for (std::size_t filled = kTileBytes; filled < kBytes;) {
    const std::size_t more = std::min(filled, kBytes - filled);
    x.copy_from(x, more, stream.get(), 0, filled);
    filled += more;
  }
  stream.synchronize();
  for (const RowOp& op : row_ops()) {
    const Kernel kernel = gpu.runtime().prepare(KernelSpec::parse(op.spec, gpu.target()));
    const Outputs of_tile(gpu.context(), op, kTileRows, stream.get());
    const Outputs of_all(gpu.context(), op, kRows, stream.get());
    op.launch(kernel, x.data(), of_tile.addresses, kTileRows, stream.get());
    op.launch(kernel, x.data(), of_all.addresses, kRows, stream.get());
    for (std::size_t i = 0; i < op.row_bytes.size(); ++i) {
      std::vector<std::uint8_t> expected(of_tile.buffers[i].size());
      of_tile.buffers[i].download(expected.data(), expected.size(), stream.get());
      stream.synchronize();
      INFO(op.spec << " output " << i);
      CHECK(std::count(expected.begin(), expected.end(), 0xA5) < std::ssize(expected));
      CHECK(differing_rows(of_all.buffers[i], op.row_bytes[i], expected, stream) == 0);
    }
  }
}

}  // namespace fourge::tests
