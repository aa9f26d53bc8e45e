// Activation and norm with quantization on tensors of more than 2^31 elements. Inputs repeat a piece of
// rows; a sample of rows, those where offsets pass 2^31 and 2^32 among them, must be what the CPU
// reference says of the rows that they come from.
#include <fourge/moe_activation_quantize.hpp>
#include <fourge/rmsnorm_quantize.hpp>

#include "reference/moe_activation.hpp"
#include "reference/rmsnorm.hpp"
#include "tests/gpu/huge_tensors.hpp"
#include "tests/support/value_quantizer.hpp"

namespace fourge::tests::huge {
namespace {

void check_activation(const char* axes) {
  INFO(axes);
  const Stream stream(Gpu::get().context());
  const Kernel kernel = prepare(std::string("moe_activation_quantize[") + axes + "]");
  const bool same = kernel.spec().get("out") == "same";
  const Elements piece = make_piece(same ? kCols : 2 * kCols, 4);
  const DeviceRows x(stream, piece);
  const DeviceRows q(stream, index(same ? 2 * kCols : kCols / 2));
  const DeviceRows scales(stream, kCols / 16);
  const DeviceRows token_scales(stream, sizeof(float));
  const reference::ValueQuantizer quantizer = value_quantizer_of(kernel.spec());
  MoeActivationQuantizeArgs args;
  args.x = x.data();
  args.q = q.data();
  args.scales = same ? nullptr : scales.data();
  args.token_scales = same ? nullptr : token_scales.floats();
  args.scale_value = quantizer.scale;
  args.rows = kRows;
  args.cols = kCols;
  kernel.launch(args, stream.get());
  stream.synchronize();
  reference::ActivationForm form;
  form.kind = same ? reference::ActivationKind::relu2 : reference::ActivationKind::swiglu;
  const reference::ScaleMatrix matrix(reference::ScaleLayout::tiled_8x4, kRows, kCols / 16);
  for (const std::int64_t row : sample()) {
    INFO("row " << row);
    const auto y = activate_row(piece_row(piece, row), {}, ElementType::bf16, form);
    if (same) {
      Elements rounded;
      for (const float value : y) {
        rounded.push_back(reference::from_float(ElementType::bf16, value));
      }
      CHECK(q.row(row) == bytes_of(rounded));
    } else {
      const auto expected = quantize_values(y, quantizer);
      CHECK(q.row(row) == expected.codes);
      CHECK(scale_row(scales, matrix, row) == expected.scales);
      CHECK(token_scales.row(row) == bytes_of(expected.token_scale));
    }
  }
}

void check_rmsnorm(const char* axes) {
  INFO(axes);
  const Stream stream(Gpu::get().context());
  const Kernel kernel = prepare(std::string("rmsnorm_quantize[") + axes + "]");
  const bool nvfp4 = kernel.spec().get("out") == "nvfp4";
  const Elements piece = make_piece(kCols, 6);
  const Elements residual = nvfp4 ? make_piece(kCols, 7) : Elements(kPiece);
  const Elements weight = make_input(Pattern::random, ElementType::bf16, 1, kCols, 8);
  const DeviceRows x(stream, piece);
  const DeviceRows added(stream, residual);
  const DeviceRows sums(stream, nvfp4 ? 2 * kCols : 1);
  const DeviceRows norms(stream, 2 * kCols);
  const DeviceRows q(stream, index(nvfp4 ? kCols / 2 : kCols));
  const DeviceRows scales(stream, kCols / 16);
  const DeviceRows token_scales(stream, sizeof(float));
  const auto device_weight = upload(stream, weight);
  const reference::ValueQuantizer quantizer = value_quantizer_of(kernel.spec());
  RmsnormQuantizeArgs args;
  args.x = x.data();
  args.residual = nvfp4 ? added.data() : nullptr;
  args.weight = device_weight.data();
  args.q = q.data();
  args.scales = nvfp4 ? scales.data() : nullptr;
  args.token_scales = token_scales.floats();
  args.residual_out = nvfp4 ? sums.data() : nullptr;
  args.norm_out = norms.data();
  args.scale_value = quantizer.scale;
  args.rows = kRows;
  args.cols = kCols;
  kernel.launch(args, stream.get());
  stream.synchronize();
  const reference::ScaleMatrix matrix(reference::ScaleLayout::tiled_128x4, kRows, kCols / 16);
  for (const std::int64_t row : sample()) {
    INFO("row " << row);
    const auto more = nvfp4 ? piece_row(residual, row) : std::span<const std::uint16_t>{};
    const auto normed =
        reference::rmsnorm_row(piece_row(piece, row), more, weight, reference::Rmsnorm{});
    const auto expected = quantize_values(normed.y, quantizer);
    CHECK(q.row(row) == expected.codes);
    CHECK(norms.row(row) == bytes_of(normed.y_16));
    CHECK(token_scales.row(row) == bytes_of(expected.token_scale));
    if (nvfp4) {
      CHECK(sums.row(row) == bytes_of(normed.sum_16));
      CHECK(scale_row(scales, matrix, row) == expected.scales);
    }
  }
}

}  // namespace

TEST_CASE("moe_activation_quantize on more than 2^31 elements", "[moe][large][huge]") {
  if (!has_memory()) return;
  check_activation("act=swiglu,out=nvfp4,scale=token,layout=8x4");
  check_activation("act=relu2,out=same,layout=linear");
}

TEST_CASE("rmsnorm_quantize on more than 2^31 elements", "[moe][large][huge]") {
  if (!has_memory()) return;
  check_rmsnorm("residual=add,out=nvfp4,scale=token,layout=128x4");
  check_rmsnorm("residual=none,out=fp8,scale=token,layout=linear");
}

}  // namespace fourge::tests::huge
