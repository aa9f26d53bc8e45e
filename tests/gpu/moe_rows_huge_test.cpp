// Rows that go to their experts and back on tensors of more than 2^31 elements. Inputs repeat a piece of
// rows; a sample of rows, those where offsets pass 2^31 and 2^32 among them, must be what the CPU
// reference says of the rows that they come from.
#include <fourge/moe_expand_quantize.hpp>
#include <fourge/moe_finalize.hpp>
#include <fourge/moe_permute.hpp>

#include "reference/moe_expand.hpp"
#include "reference/moe_finalize.hpp"
#include "tests/gpu/huge_tensors.hpp"

namespace fourge::tests::huge {
namespace {

// What turned_map() is the inverse of.
std::vector<std::int32_t> turned_back() {
  std::vector<std::int32_t> map;
  for (std::int64_t i = 0; i < kRows; ++i) {
    map.push_back(skipped(turned(i)) ? -1 : static_cast<std::int32_t>(turned(i)));
  }
  return map;
}

struct ExpandForm {
  const char* axes;
  reference::ExpandFormat format;
  std::int64_t block;
};

void check_expand(const ExpandForm& form) {
  const bool nvfp4 = form.format == reference::ExpandFormat::nvfp4;
  INFO(form.axes);
  const Stream stream(Gpu::get().context());
  const Elements piece = make_piece(kCols, 3);
  const DeviceRows x(stream, piece);
  const DeviceRows out(stream, index(kCols / (nvfp4 ? 2 : 1)));
  const DeviceRows scales(stream, index(kCols / form.block));
  const DeviceRows token_scales(stream, sizeof(float));
  const auto map = upload(stream, turned_map());
  const Kernel kernel = prepare(std::string("moe_expand_quantize[index=padded,") + form.axes + "]");
  const bool staged = kernel.spec().get("staging") == "on";
  const auto entries = upload(stream, turned_back());
  const auto workspace =
      upload(stream, Bytes(moe::expand_workspace_bytes(nvfp4 ? "nvfp4" : "mxfp8", kRows, kCols)));
  MoeExpandQuantizeArgs args;
  args.row_entries = staged ? reinterpret_cast<const std::int32_t*>(entries.data()) : nullptr;
  args.workspace = workspace.data();
  args.x = x.data();
  args.out = out.data();
  args.scales = scales.data();
  args.token_scales = nvfp4 ? token_scales.floats() : nullptr;
  args.rows = reinterpret_cast<const std::int32_t*>(map.data());
  args.tokens = kRows;
  args.top_k = 1;
  args.cols = kCols;
  args.capacity = kRows;
  kernel.launch(args, stream.get());
  stream.synchronize();
  const auto layout = reference::parse_scale_layout(kernel.spec().get("layout"));
  const reference::ScaleMatrix matrix(layout, kRows, kCols / form.block);
  const reference::ScaleMatrix of_row(reference::ScaleLayout::linear, 1, kCols / form.block);
  for (const std::int64_t row : sample()) {
    INFO("row " << row);
    if (skipped(turned(row))) {
      CHECK(out.untouched(row));
      if (staged) CHECK(scale_row(scales, matrix, row) == Bytes(index(kCols / form.block)));
      continue;
    }
    Bytes codes(index(kCols / (nvfp4 ? 2 : 1)));
    Bytes block_scales(of_row.bytes());
    std::vector<float> scale(1);
    const reference::ExpandedRow expanded[] = {{0, 0, 0}};
    moe_expand({form.format, ElementType::bf16, piece_row(piece, turned(row)), kCols, nvfp4, {}},
               expanded, of_row, {codes, block_scales, scale});
    CHECK(out.row(row) == codes);
    CHECK(scale_row(scales, matrix, row) == block_scales);
    if (nvfp4) CHECK(token_scales.row(row) == bytes_of(scale));
  }
}

}  // namespace

TEST_CASE("moe_permute on more than 2^31 elements", "[moe][large][huge]") {
  if (!has_memory()) return;
  const std::string by = GENERATE(as<std::string>{}, "row", "token");
  if (by == "token" && !Gpu::get().target().features().bulk_copy) return;
  const Stream stream(Gpu::get().context());
  const Elements piece = make_piece(kCols, 1);
  const DeviceRows x(stream, piece);
  const DeviceRows y(stream, 2 * kCols);
  const auto map = upload(stream, turned_map());
  const auto used = upload(stream, std::vector<std::int32_t>{static_cast<std::int32_t>(kRows)});
  MoePermuteArgs args;
  args.x = x.data();
  args.y = y.data();
  args.row_entries = reinterpret_cast<const std::int32_t*>(map.data());
  args.padded_rows = reinterpret_cast<const std::int32_t*>(used.data());
  args.tokens = kRows;
  args.top_k = 1;
  args.cols = kCols;
  args.capacity = kRows;
  const auto rows = upload(stream, turned_back());
  args.rows = reinterpret_cast<const std::int32_t*>(rows.data());
  prepare("moe_permute[bits=16,scales=none,by=" + by + "]").launch(args, stream.get());
  stream.synchronize();
  for (const std::int64_t row : sample()) {
    INFO("row " << row);
    if (skipped(row)) {
      CHECK(y.untouched(row));
    } else {
      const auto from = piece_row(piece, turned(row));
      CHECK(y.row(row) == bytes_of(Elements(from.begin(), from.end())));
    }
  }
}

TEST_CASE("moe_permute with block scales on more than 2^31 elements", "[moe][large][huge]") {
  if (!has_memory()) return;
  const std::string by = GENERATE(as<std::string>{}, "row", "token");
  if (by == "token" && !Gpu::get().target().features().bulk_copy) return;
  constexpr std::int64_t kBlocks = kCols / 128;
  const Stream stream(Gpu::get().context());
  const Elements piece = make_piece(kCols / 2, 2);  // its bytes
  const DeviceRows x(stream, piece);
  const DeviceRows y(stream, kCols);
  // Of block s of token t: no two alike in 2^24.
  std::vector<float> scales;
  for (std::int64_t i = 0; i < kBlocks * kRows; ++i)
    scales.push_back(static_cast<float>(i % 16777213));
  const auto x_scales = upload(stream, scales);
  const DeviceRows y_scales(stream, kBlocks * sizeof(float));
  const auto map = upload(stream, turned_map());
  const auto used = upload(stream, std::vector<std::int32_t>{static_cast<std::int32_t>(kRows)});
  MoePermuteArgs args;
  args.x = x.data();
  args.x_scales = reinterpret_cast<const float*>(x_scales.data());
  args.y = y.data();
  args.y_scales = y_scales.floats();
  args.row_entries = reinterpret_cast<const std::int32_t*>(map.data());
  args.padded_rows = reinterpret_cast<const std::int32_t*>(used.data());
  args.tokens = kRows;
  args.top_k = 1;
  args.cols = kCols;
  args.capacity = kRows;
  const auto rows = upload(stream, turned_back());
  args.rows = reinterpret_cast<const std::int32_t*>(rows.data());
  prepare("moe_permute[bits=8,scales=block128,by=" + by + "]").launch(args, stream.get());
  stream.synchronize();
  for (const std::int64_t row : sample()) {
    INFO("row " << row);
    const auto from = piece_row(piece, turned(row));
    CHECK((skipped(row) ? y.untouched(row)
                        : y.row(row) == bytes_of(Elements(from.begin(), from.end()))));
    for (const std::int64_t block : {std::int64_t{0}, kBlocks - 1}) {
      const float expected = skipped(row) ? 0.0F : scales[index(block * kRows + turned(row))];
      CHECK(y_scales.at(index(block * kRows + row) * sizeof(float), sizeof(float)) ==
            bytes_of(expected));
    }
  }
}

TEST_CASE("moe_finalize on more than 2^31 elements", "[moe][large][huge]") {
  if (!has_memory()) return;
  constexpr std::int64_t kTopK = 2;
  const Stream stream(Gpu::get().context());
  const Elements piece = make_piece(kCols, 5);
  const DeviceRows x(stream, piece);
  const DeviceRows out(stream, 2 * kCols);
  std::vector<std::int32_t> map;
  std::vector<float> weights;
  for (std::int64_t token = 0; token < kRows; ++token) {
    map.push_back(skipped(token) ? -1 : static_cast<std::int32_t>(turned(token)));
    map.push_back(static_cast<std::int32_t>(token));
    weights.push_back(0.25F + static_cast<float>(token % 7) / 8.0F);
    weights.push_back(0.5F);
  }
  const auto rows = upload(stream, map);
  const auto device_weights = upload(stream, weights);
  MoeFinalizeArgs args;
  args.x = x.data();
  args.out = out.data();
  args.rows = reinterpret_cast<const std::int32_t*>(rows.data());
  args.weights = device_weights.data();
  args.tokens = kRows;
  args.top_k = kTopK;
  args.cols = kCols;
  args.x_cols = kCols;
  args.capacity = kRows;
  prepare("moe_finalize[index=padded,weights=f32]").launch(args, stream.get());
  stream.synchronize();
  for (const std::int64_t token : sample()) {
    INFO("token " << token);
    Elements two;
    for (const std::int64_t row : {turned(token), token}) {
      const auto from = piece_row(piece, row);
      two.insert(two.end(), from.begin(), from.end());
    }
    const std::vector<std::int64_t> places{skipped(token) ? -1 : 0, 1};
    const auto of_token = std::span(weights).subspan(index(token * kTopK), kTopK);
    const auto expected = reference::moe_finalize(
        {ElementType::bf16, two, places, of_token, {}, {}, {}, 1, kTopK, kCols, kCols});
    CHECK(out.row(token) == bytes_of(expected));
  }
}

TEST_CASE("moe_expand_quantize on more than 2^31 elements", "[moe][large][huge]") {
  if (!has_memory()) return;
  check_expand({"format=nvfp4,scale=token,layout=linear", reference::ExpandFormat::nvfp4, 16});
  check_expand({"format=mxfp8,scale=none,layout=128x4", reference::ExpandFormat::mxfp8, 32});
  check_expand(
      {"format=nvfp4,scale=token,layout=128x4,staging=on", reference::ExpandFormat::nvfp4, 16});
  check_expand(
      {"format=mxfp8,scale=none,layout=8x4,staging=on", reference::ExpandFormat::mxfp8, 32});
}

}  // namespace fourge::tests::huge
