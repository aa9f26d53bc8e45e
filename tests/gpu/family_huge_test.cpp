// The rest of the quantizers' family on tensors of more than 2^31 elements. Inputs repeat a piece of rows;
// a sample of rows, those where offsets pass 2^31 and 2^32 among them, must be what the CPU reference
// says of the rows that they come from.
#include <fourge/amax.hpp>
#include <fourge/dequantize.hpp>
#include <fourge/fp8_quantize.hpp>
#include <fourge/nvfp4_activation_quantize.hpp>
#include <fourge/scale_interleave.hpp>

#include "reference/amax.hpp"
#include "reference/dequantize.hpp"
#include "reference/fp8_block.hpp"
#include "reference/nvfp4.hpp"
#include "reference/silu.hpp"
#include "tests/gpu/huge_tensors.hpp"

namespace fourge::tests::huge {
namespace {

constexpr float kScale = 97.0F;
constexpr std::int64_t kTile = 128;

reference::Nvfp4Output quantized_row(std::span<const std::uint16_t> row, float global_scale) {
  reference::Nvfp4Problem problem;
  problem.x = row;
  problem.rows = 1;
  problem.cols = kCols;
  problem.global_scale = global_scale;
  return reference::quantize_nvfp4(problem);
}

Bytes piece_bytes(const Elements& piece, std::int64_t row) {
  const auto elements = piece_row(piece, row);
  return bytes_of(Elements(elements.begin(), elements.end()));
}

// So many bytes a row, all of them occurring.
Elements random_bytes(std::int64_t row_bytes, std::uint32_t seed) {
  Elements piece(index(kPiece * row_bytes / 2));
  for (std::uint16_t& pair : piece) {
    seed = seed * 1664525U + 1013904223U;
    pair = static_cast<std::uint16_t>(seed >> 16);
  }
  return piece;
}

struct DequantizeForm {
  const char* spec;
  reference::BlockFormat format;
  reference::FloatType type;
  std::size_t element;
};

void launch_dequantize(const DequantizeForm& form, const DeviceRows& codes,
                       const DeviceRows& scales, const DeviceRows& out, const Stream& stream) {
  const Kernel kernel = prepare(form.spec);
  if (form.format == reference::BlockFormat::nvfp4) {
    Nvfp4DequantizeArgs args;
    args.codes = codes.data();
    args.scales = scales.data();
    args.out = out.data();
    args.global_scale_value = 1.0F / kScale;
    args.rows = kRows;
    args.cols = kCols;
    kernel.launch(args, stream.get());
  } else if (form.format == reference::BlockFormat::mxfp4) {
    kernel.launch(Mxfp4DequantizeArgs{codes.data(), scales.data(), out.data(), kRows, kCols},
                  stream.get());
  } else {
    kernel.launch(Mxfp8DequantizeArgs{codes.data(), scales.data(), out.data(), kRows, kCols, kCols},
                  stream.get());
  }
  stream.synchronize();
}

void check_dequantize(const DequantizeForm& form) {
  INFO(form.spec);
  const bool fp8 = form.format == reference::BlockFormat::mxfp8;
  const bool nvfp4 = form.format == reference::BlockFormat::nvfp4;
  const Stream stream(Gpu::get().context());
  const Elements code_piece = random_bytes(fp8 ? kCols : kCols / 2, 5);
  const Elements scale_piece = random_bytes(kCols / block_length(form.format), 6);
  const DeviceRows codes(stream, code_piece);
  const DeviceRows scales(stream, scale_piece);
  const DeviceRows out(stream, index(kCols) * form.element);
  launch_dequantize(form, codes, scales, out, stream);
  const std::vector<float> decode{1.0F / kScale};
  for (const std::int64_t row : sample()) {
    INFO("row " << row);
    const Bytes row_codes = piece_bytes(code_piece, row);
    const Bytes row_scales = piece_bytes(scale_piece, row);
    reference::DequantizeProblem problem;
    problem.format = form.format;
    problem.codes = row_codes;
    problem.scales = row_scales;
    problem.rows = 1;
    problem.cols = kCols;
    problem.padded_cols = kCols;
    if (nvfp4) problem.decode_scales = decode;
    CHECK(out.row(row) == to_bytes(dequantize(problem), form.type));
  }
}

}  // namespace

TEST_CASE("silu_and_mul_nvfp4_quantize on more than 2^31 elements", "[large][huge]") {
  if (!has_memory()) return;
  const Stream stream(Gpu::get().context());
  const Elements piece = make_piece(2 * kCols, 11);
  const DeviceRows x(stream, piece);
  const DeviceRows codes(stream, kCols / 2);
  const DeviceRows scales(stream, kCols / 16);
  SiluAndMulNvfp4QuantizeArgs args;
  args.x = x.data();
  args.codes = codes.data();
  args.scales = scales.data();
  args.global_scale_value = kScale;
  args.rows = kRows;
  args.cols = kCols;
  prepare("silu_and_mul_nvfp4_quantize[layout=128x4,order=gate_first,math=exact]")
      .launch(args, stream.get());
  stream.synchronize();
  const reference::ScaleMatrix matrix(reference::ScaleLayout::tiled_128x4, kRows, kCols / 16);
  for (const std::int64_t row : sample()) {
    INFO("row " << row);
    const auto halves = piece_row(piece, row);
    const auto y = reference::silu_and_mul(halves.first(index(kCols)), halves.last(index(kCols)),
                                           ElementType::bf16);
    const auto expected = quantized_row(y, kScale);
    CHECK(codes.row(row) == expected.codes);
    CHECK(scale_row(scales, matrix, row) == expected.scales);
  }
}

TEST_CASE("nvfp4_quantize_grouped on more than 2^31 elements", "[large][huge]") {
  if (!has_memory()) return;
  constexpr std::int64_t kExperts = kRows / kTile;
  constexpr std::int32_t kFew = 100;  // valid rows of some experts
  const Stream stream(Gpu::get().context());
  const Elements piece = make_piece(kCols, 12);
  const DeviceRows x(stream, piece);
  const DeviceRows codes(stream, kCols / 2);
  const DeviceRows scales(stream, kCols / 16);
  std::vector<float> global_scales;
  std::vector<std::int32_t> valid_rows;
  for (std::int64_t expert = 0; expert < kExperts; ++expert) {
    global_scales.push_back(kScale + static_cast<float>(expert % 13));
    valid_rows.push_back(expert % 2 == 0 ? static_cast<std::int32_t>(kTile) : kFew);
  }
  const auto device_scales = upload(stream, global_scales);
  const auto device_rows = upload(stream, valid_rows);
  Nvfp4QuantizeGroupedArgs args;
  args.x = x.data();
  args.codes = codes.data();
  args.scales = scales.data();
  args.global_scales = reinterpret_cast<const float*>(device_scales.data());
  args.valid_rows = reinterpret_cast<const std::int32_t*>(device_rows.data());
  args.experts = kExperts;
  args.rows = kTile;
  args.cols = kCols;
  prepare("nvfp4_quantize_grouped[math=exact]").launch(args, stream.get());
  stream.synchronize();
  // Each expert has its own tiles, which lie as those of one matrix do.
  const reference::ScaleMatrix matrix(reference::ScaleLayout::tiled_128x4, kRows, kCols / 16);
  for (const std::int64_t row : sample()) {
    INFO("row " << row);
    const std::size_t expert = index(row / kTile);
    if (row % kTile >= valid_rows[expert]) {
      CHECK(codes.untouched(row));
      continue;
    }
    const auto expected = quantized_row(piece_row(piece, row), global_scales[expert]);
    CHECK(codes.row(row) == expected.codes);
    CHECK(scale_row(scales, matrix, row) == expected.scales);
  }
}

TEST_CASE("row_amax and global_scale on more than 2^31 elements", "[large][huge]") {
  if (!has_memory()) return;
  const Stream stream(Gpu::get().context());
  const Elements piece = make_piece(kCols, 13);
  DeviceRows x(stream, piece);
  const float largest = 1000.0F;
  x.put_last(reference::from_float(ElementType::bf16, largest));
  const DeviceRows amax(stream, sizeof(float));
  RowAmaxArgs args;
  args.x = x.data();
  args.amax = amax.floats();
  args.scale = 0.375F;
  args.rows = kRows;
  args.cols = kCols;
  prepare("row_amax[in=bf16]").launch(args, stream.get());
  stream.synchronize();
  for (const std::int64_t row : sample()) {
    INFO("row " << row);
    const auto values = reference::to_floats(piece_row(piece, row), ElementType::bf16);
    const float expected =
        row == kRows - 1 ? largest * args.scale : reference::row_amax(values, args.scale);
    CHECK(amax.row(row) == bytes_of(expected));
  }
  const auto results = upload(stream, std::vector<float>(2));
  const auto workspace = upload(stream, std::vector<std::uint8_t>(global_scale_workspace_bytes()));
  GlobalScaleArgs global;
  global.x = x.data();
  global.amax = reinterpret_cast<float*>(results.data());
  global.global_scale = global.amax + 1;
  global.workspace = reinterpret_cast<std::uint32_t*>(workspace.data());
  global.elements = kRows * kCols;
  prepare("global_scale[in=bf16]").launch(global, stream.get());
  std::vector<float> found(2);
  results.download(found.data(), results.size(), stream.get());
  stream.synchronize();
  CHECK(found == std::vector<float>{largest, reference::encode_scale(largest, 448.0F)});
}

TEST_CASE("fp8_quantize_128x128 on more than 2^31 elements", "[large][huge]") {
  if (!has_memory()) return;
  constexpr std::int64_t kBlocks = kCols / kTile;
  const Stream stream(Gpu::get().context());
  const Elements piece = make_piece(kCols, 14);
  const DeviceRows x(stream, piece);
  const DeviceRows data(stream, kCols);
  const DeviceBuffer scales(Gpu::get().context(), index(kRows / kTile * kBlocks) * sizeof(float));
  Fp8Quantize128x128Args args;
  args.x = x.data();
  args.data = data.data();
  args.scales = reinterpret_cast<float*>(scales.data());
  args.rows = kRows;
  args.cols = kCols;
  prepare("fp8_quantize_128x128[in=bf16,scale=f32]").launch(args, stream.get());
  stream.synchronize();
  const std::int64_t around = (std::int64_t{1} << 31) / kCols / kTile;
  for (const std::int64_t tile : {std::int64_t{0}, around / 2, around, kRows / kTile - 1}) {
    INFO("rows from " << tile * kTile);
    Elements rows;
    for (std::int64_t row = tile * kTile; row < (tile + 1) * kTile; ++row) {
      const auto from = piece_row(piece, row);
      rows.insert(rows.end(), from.begin(), from.end());
    }
    reference::Fp8Problem problem;
    problem.x = rows;
    problem.rows = kTile;
    problem.cols = kCols;
    problem.block_rows = kTile;
    const auto expected = reference::quantize_fp8_blocks(problem, reference_threads());
    CHECK(data.at(index(tile * kTile * kCols), index(kTile * kCols)) == expected.data);
    std::vector<float> found(index(kBlocks));
    scales.download(found.data(), found.size() * sizeof(float), stream.get(),
                    index(tile * kBlocks) * sizeof(float));
    stream.synchronize();
    CHECK(found == expected.scales);
  }
}

TEST_CASE("dequantization to more than 2^31 elements", "[large][huge]") {
  if (!has_memory()) return;
  using reference::BlockFormat;
  using reference::FloatType;
  check_dequantize(
      {"nvfp4_dequantize[layout=linear,out=f32]", BlockFormat::nvfp4, FloatType::f32, 4});
  check_dequantize(
      {"mxfp4_dequantize[layout=linear,out=bf16]", BlockFormat::mxfp4, FloatType::bf16, 2});
  check_dequantize(
      {"mxfp8_dequantize[layout=linear,out=f16]", BlockFormat::mxfp8, FloatType::f16, 2});
}

TEST_CASE("more than 2^31 scales interleaved and back", "[large][huge]") {
  if (!has_memory()) return;
  const Stream stream(Gpu::get().context());
  const Elements piece = random_bytes(kCols, 15);
  const DeviceRows linear(stream, piece);
  const DeviceRows tiled(stream, kCols);
  const DeviceRows back(stream, kCols);
  prepare("scale_interleave[layout=128x4]")
      .launch(ScaleInterleaveArgs{linear.data(), tiled.data(), kRows, kCols, 1}, stream.get());
  prepare("scale_deinterleave[layout=128x4]")
      .launch(ScaleDeinterleaveArgs{tiled.data(), back.data(), kRows, kCols, 1}, stream.get());
  stream.synchronize();
  const reference::ScaleMatrix matrix(reference::ScaleLayout::tiled_128x4, kRows, kCols);
  for (const std::int64_t row : sample()) {
    INFO("row " << row);
    CHECK(scale_row(tiled, matrix, row) == piece_bytes(piece, row));
    CHECK(back.row(row) == piece_bytes(piece, row));
  }
}

}  // namespace fourge::tests::huge
