#include "tools/bench/moe_check.hpp"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <fourge/moe_activation_quantize.hpp>
#include <fourge/moe_expand_quantize.hpp>
#include <fourge/rmsnorm_quantize.hpp>

#include "reference/ftz.hpp"
#include "reference/moe_activation.hpp"
#include "reference/moe_expand.hpp"
#include "reference/moe_finalize.hpp"
#include "reference/moe_route.hpp"
#include "reference/moe_swiglu.hpp"
#include "reference/quantize_values.hpp"
#include "reference/rmsnorm.hpp"
#include "reference/scale_layout.hpp"
#include "tools/bench/moe_tables.hpp"

namespace fourge::tools {
namespace {

using reference::ElementType;

constexpr float kFp8Scale = 0.01F;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

// About 24 of the numbers below count, the first and the last among them.
std::vector<std::int64_t> sample(std::int64_t count) {
  std::vector<std::int64_t> chosen;
  const std::int64_t step = std::max<std::int64_t>(1, count / 23);
  for (std::int64_t i = 0; i < count; i += step) chosen.push_back(i);
  if (count > 0 && chosen.back() != count - 1) chosen.push_back(count - 1);
  return chosen;
}

template <class T>
std::string compare(std::string_view what, std::int64_t row, const std::vector<T>& found,
                    const std::vector<T>& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::memcmp(&found.at(i), &expected[i], sizeof(T)) != 0) {
      return fmt::format("{} of row {}, number {}: found {}, expected {}", what, row, i, found[i],
                         expected[i]);
    }
  }
  return {};
}

ElementType type_of(const KernelSpec& spec) {
  return spec.get("in") == "bf16" ? ElementType::bf16 : ElementType::f16;
}

std::optional<reference::FourOverSix> four_over_six(const KernelSpec& spec) {
  const std::string_view text = spec.get("4over6");
  if (text == "off") return std::nullopt;
  reference::FourOverSix option;
  option.metric =
      text.starts_with("mae") ? reference::ErrorMetric::mae : reference::ErrorMetric::mse;
  option.e4m3_max = text.substr(3, 3) == "256" ? 256 : 448;
  option.error_math =
      text.ends_with("fast") ? reference::ErrorMath::fast : reference::ErrorMath::strict;
  return option;
}

reference::ValueQuantizer quantizer_of(const KernelSpec& spec) {
  reference::ValueQuantizer quantizer;
  const std::string_view out = spec.get("out");
  quantizer.type = type_of(spec);
  quantizer.format = out == "nvfp4"   ? reference::ValueFormat::nvfp4
                     : out == "mxfp8" ? reference::ValueFormat::mxfp8
                                      : reference::ValueFormat::fp8;
  quantizer.per_token = spec.get("scale") == "token";
  quantizer.four_over_six = four_over_six(spec);
  quantizer.scale = quantizer.per_token ? reference::ftz::rcp(448.0F * 6.0F)
                    : out == "fp8"      ? kFp8Scale
                                        : moe_bench_encode_scale(spec);
  return quantizer;
}

// A row of block scales, brought together from its layout.
std::vector<std::uint8_t> scale_row(const BenchMemory& memory, const reference::ScaleMatrix& matrix,
                                    std::int64_t row) {
  std::vector<std::uint8_t> scales;
  for (std::int64_t col = 0; col < matrix.cols(); ++col) {
    const auto at = static_cast<std::int64_t>(matrix.offset(row, col));
    scales.push_back(memory.values<std::uint8_t>("scales", at, 1)[0]);
  }
  return scales;
}

std::string check_quantized(const KernelSpec& spec, const BenchMemory& memory,
                            const std::vector<float>& values, std::int64_t row,
                            std::int64_t matrix_rows, std::int64_t matrix_row) {
  const auto expected = quantize_values(values, quantizer_of(spec));
  const auto length = std::ssize(expected.codes);
  std::string difference =
      compare("q", row, memory.values<std::uint8_t>("q", row * length, length), expected.codes);
  if (difference.empty() && !expected.scales.empty()) {
    const reference::ScaleMatrix matrix(reference::parse_scale_layout(spec.get("layout")),
                                        matrix_rows, std::ssize(expected.scales));
    difference = compare("scales", row, scale_row(memory, matrix, matrix_row), expected.scales);
  }
  if (difference.empty() && spec.get("scale") == "token") {
    difference = compare("token_scales", row, memory.values<float>("token_scales", row, 1),
                         std::vector<float>{expected.token_scale});
  }
  return difference;
}

std::int64_t tile_of(const KernelSpec& spec) {
  return reference::ScaleMatrix(reference::parse_scale_layout(spec.get("layout")), 1, 1)
      .padded_rows();
}

// Where the tiles of an expert's scales start, in rows.
std::int64_t region(const MoeTables& tables, std::int64_t tile, std::size_t expert) {
  const std::int64_t e = static_cast<std::int64_t>(expert);
  return (tables.expert_rows[expert] + (tile - 1) * e + tile - 1) / tile * tile;
}

std::size_t expert_of_row(const MoeTables& tables, std::int64_t row) {
  std::size_t expert = 0;
  while (tables.expert_rows[expert + 1] <= row) ++expert;
  return expert;
}

}  // namespace

// Inputs are below 2 (their squares below 4), normed rows times a weight below 7, products seldom above 3.
float moe_bench_encode_scale(const KernelSpec& spec) {
  if (spec.op().name == RmsnormQuantizeArgs::kOp) return 384.0F;
  const bool squares =
      spec.op().name == MoeActivationQuantizeArgs::kOp && spec.get("act") == "relu2";
  return squares ? 672.0F : 896.0F;
}

std::string check_moe_swiglu(const KernelSpec& spec, const MatrixShape& shape,
                             const BenchMemory& memory) {
  if (spec.get("math") == "fast") return {};
  const MoeTables tables = make_moe_tables(shape.rows, true);
  const std::int64_t blocks = shape.cols / 128;
  const auto column = [&](std::string_view buffer, std::int64_t count, std::int64_t row) {
    std::vector<float> scales;
    for (std::int64_t s = 0; s < count; ++s) {
      scales.push_back(memory.values<float>(buffer, s * tables.used + row, 1)[0]);
    }
    return scales;
  };
  for (const std::int64_t entry : sample(std::ssize(tables.rows))) {
    const std::int64_t row = tables.rows[index(entry)];
    const auto x = memory.values<std::uint8_t>("x", row * 2 * shape.cols, 2 * shape.cols);
    const auto x_scales = column("x_scales", 2 * blocks, row);
    reference::Swiglu form{spec.get("form") == "clamped", spec.get("order") == "gate_first", 7.0F,
                           1.702F, 1.0F};
    std::vector<std::uint8_t> y(index(shape.cols));
    std::vector<float> y_scales(index(blocks));
    const std::vector<std::int64_t> rows{0};
    reference::moe_swiglu_fp8_block({x, x_scales, shape.cols, 1, form}, rows, y, y_scales);
    std::string difference =
        compare("y", row, memory.values<std::uint8_t>("y", row * shape.cols, shape.cols), y);
    if (difference.empty()) {
      difference = compare("y_scales", row, column("y_scales", blocks, row), y_scales);
    }
    if (!difference.empty()) return difference;
  }
  return {};
}

std::string check_moe_permute(const KernelSpec& spec, const MatrixShape& shape,
                              const BenchMemory& memory) {
  const bool padded = spec.get("index") == "padded";
  const MoeTables tables = make_moe_tables(shape.rows, padded);
  const std::int64_t bytes = shape.cols * (spec.get("bits") == "16" ? 2 : 1);
  for (const std::int64_t row : sample(tables.used)) {
    const std::int64_t entry = tables.entries[index(row)];
    if (entry < 0) continue;
    const std::int64_t token = padded ? entry / kBenchTopK : entry % shape.rows;
    std::string difference = compare("y", row, memory.values<std::uint8_t>("y", row * bytes, bytes),
                                     memory.values<std::uint8_t>("x", token * bytes, bytes));
    if (spec.get("scales") == "block128") {
      for (std::int64_t s = 0; s < shape.cols / 128 && difference.empty(); ++s) {
        difference =
            compare("y_scales", row, memory.values<float>("y_scales", s * tables.used + row, 1),
                    memory.values<float>("x_scales", s * shape.rows + token, 1));
      }
    }
    if (!difference.empty()) return difference;
  }
  return {};
}

std::string check_moe_expand(const KernelSpec& spec, const MatrixShape& shape,
                             const BenchMemory& memory) {
  const bool padded = spec.get("index") == "padded";
  const MoeTables tables = make_moe_tables(shape.rows, padded);
  const std::int64_t tile = padded || spec.get("layout") == "linear" ? 1 : tile_of(spec);
  const auto format = spec.get("format") == "nvfp4"   ? reference::ExpandFormat::nvfp4
                      : spec.get("format") == "mxfp8" ? reference::ExpandFormat::mxfp8
                                                      : reference::ExpandFormat::fp8;
  const std::int64_t columns = shape.cols / (spec.get("format") == "nvfp4" ? 16 : 32);
  const reference::ScaleMatrix matrix(
      reference::parse_scale_layout(spec.get("layout")),
      moe::expand_scale_rows(spec.get("layout"), spec.get("index"), tables.capacity, kBenchExperts),
      columns);
  const reference::ScaleMatrix one(reference::ScaleLayout::linear, 1, columns);
  const std::int64_t length =
      format == reference::ExpandFormat::nvfp4 ? shape.cols / 2 : shape.cols;
  for (const std::int64_t row : sample(tables.used)) {
    const std::int64_t entry = tables.entries[index(row)];
    if (entry < 0) continue;
    const std::int64_t token = padded ? entry / kBenchTopK : entry % shape.rows;
    const auto x = memory.values<std::uint16_t>("x", token * shape.cols, shape.cols);
    std::vector<std::uint8_t> codes(index(length));
    std::vector<std::uint8_t> scales(one.bytes());
    std::vector<float> token_scales(1);
    const reference::ExpandedRow expanded{0, 0, 0, moe_bench_encode_scale(spec)};
    moe_expand(
        {format, type_of(spec), x, shape.cols, spec.get("scale") == "token", four_over_six(spec)},
        {&expanded, 1}, one, {codes, scales, token_scales});
    std::string difference =
        compare("out", row, memory.values<std::uint8_t>("out", row * length, length), codes);
    if (difference.empty() && format != reference::ExpandFormat::fp8) {
      const std::size_t expert = expert_of_row(tables, row);
      const std::int64_t at =
          tile == 1 ? row : region(tables, tile, expert) + row - tables.expert_rows[expert];
      difference = compare("scales", row, scale_row(memory, matrix, at), scales);
    }
    if (difference.empty() && spec.get("scale") == "token") {
      difference =
          compare("token_scales", row, memory.values<float>("token_scales", row, 1), token_scales);
    }
    if (!difference.empty()) return difference;
  }
  return {};
}

std::string check_moe_activation(const KernelSpec& spec, const MatrixShape& shape,
                                 const BenchMemory& memory) {
  const MoeTables tables = make_moe_tables(shape.rows, false);
  reference::ActivationForm form;
  constexpr std::string_view kNames[] = {"swiglu", "geglu", "geglu_tanh", "clamped",
                                         "relu2",  "silu",  "gelu",       "identity"};
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (spec.get("act") == kNames[i]) form.kind = static_cast<reference::ActivationKind>(i);
  }
  form.gate_first = spec.get("order") == "gate_first";
  form.rounded = spec.get("round") == "rounded";
  const std::int64_t width = (is_gated(form.kind) ? 2 : 1) * shape.cols;
  const std::int64_t rows = shape.rows * kBenchTopK;
  const std::int64_t tile = tile_of(spec);
  for (const std::int64_t row : sample(rows)) {
    const auto x = memory.values<std::uint16_t>("x", row * width, width);
    const auto values = activate_row(x, {}, type_of(spec), form);
    std::string difference;
    if (spec.get("out") == "same") {
      std::vector<std::uint16_t> expected;
      for (const float value : values) {
        expected.push_back(reference::from_float(type_of(spec), value));
      }
      difference = compare(
          "q", row, memory.values<std::uint16_t>("q", row * shape.cols, shape.cols), expected);
    } else {
      const std::size_t expert = expert_of_row(tables, row);
      const std::int64_t at =
          tile == 1 ? row : region(tables, tile, expert) + row - tables.expert_rows[expert];
      difference =
          check_quantized(spec, memory, values, row, rows + (tile - 1) * kBenchExperts, at);
    }
    if (!difference.empty()) return difference;
  }
  return {};
}

std::string check_moe_finalize(const KernelSpec& spec, const MatrixShape& shape,
                               const BenchMemory& memory) {
  const bool padded = spec.get("index") == "padded";
  const MoeTables tables = make_moe_tables(shape.rows, padded);
  for (const std::int64_t token : sample(shape.rows)) {
    std::vector<std::uint16_t> x;
    std::vector<std::int64_t> rows;
    std::vector<float> weights;
    for (std::int64_t j = 0; j < kBenchTopK; ++j) {
      const std::int64_t entry = padded ? token * kBenchTopK + j : j * shape.rows + token;
      const auto row =
          memory.values<std::uint16_t>("x", tables.rows[index(entry)] * shape.cols, shape.cols);
      x.insert(x.end(), row.begin(), row.end());
      rows.push_back(j);
      const std::int64_t at = token * kBenchTopK + j;
      weights.push_back(
          spec.get("weights") == "none" ? 1.0F
          : spec.get("weights") == "f32"
              ? memory.values<float>("weights", at, 1)[0]
              : reference::bf16_to_float(memory.values<std::uint16_t>("weights", at, 1)[0]));
    }
    std::vector<std::uint16_t> shared;
    if (spec.get("shared") == "on") {
      shared = memory.values<std::uint16_t>("shared", token * shape.cols, shape.cols);
    }
    reference::MoeFinalizeProblem problem;
    problem.type = type_of(spec);
    problem.x = x;
    problem.rows = rows;
    problem.weights = weights;
    problem.shared = shared;
    problem.tokens = 1;
    problem.top_k = kBenchTopK;
    problem.cols = problem.x_cols = shape.cols;
    const std::string difference =
        compare("out", token, memory.values<std::uint16_t>("out", token * shape.cols, shape.cols),
                moe_finalize(problem));
    if (!difference.empty()) return difference;
  }
  return {};
}

std::string check_moe_route_topk(const KernelSpec& spec, const MatrixShape& shape,
                                 const BenchMemory& memory) {
  const std::string_view method = spec.get("method");
  reference::RouteForm form;
  constexpr std::string_view kNames[] = {"softmax", "renormalize", "sigmoid", "sigmoid_renorm",
                                         "llama4",  "deepseek",    "raw"};
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (method == kNames[i]) form.method = static_cast<reference::RouteMethod>(i);
  }
  form.top_k = index(kBenchTopK);
  form.groups = 8;
  form.kept_groups = 4;
  form.scale = 2.5F;
  for (const std::int64_t token : sample(shape.rows)) {
    const std::int64_t first = token * kBenchExperts;
    std::vector<float> logits;
    if (spec.get("in") == "f32") {
      logits = memory.values<float>("logits", first, kBenchExperts);
    } else {
      for (const auto bits : memory.values<std::uint16_t>("logits", first, kBenchExperts)) {
        logits.push_back(reference::to_float(type_of(spec), bits));
      }
    }
    const reference::Route route = route_token(logits, {}, form);
    const std::int64_t at = token * kBenchTopK;
    std::string difference =
        compare("ids", token, memory.values<std::int32_t>("ids", at, kBenchTopK), route.ids);
    if (difference.empty()) {
      difference =
          compare("weights", token, memory.values<float>("weights", at, kBenchTopK), route.weights);
    }
    if (!difference.empty()) return difference;
  }
  return {};
}

std::string check_moe_route_maps(const KernelSpec& spec, const MatrixShape& shape,
                                 const BenchMemory& memory) {
  const MoeTables tables = make_moe_tables(shape.rows, spec.get("index") == "padded");
  std::string difference = compare(
      "rows", 0, memory.values<std::int32_t>("rows", 0, std::ssize(tables.rows)), tables.rows);
  if (difference.empty()) {
    difference =
        compare("row_entries", 0, memory.values<std::int32_t>("row_entries", 0, tables.capacity),
                tables.entries);
  }
  if (difference.empty()) {
    difference =
        compare("expert_rows", 0, memory.values<std::int64_t>("expert_rows", 0, kBenchExperts + 1),
                tables.expert_rows);
  }
  return difference;
}

std::string check_rmsnorm(const KernelSpec& spec, const MatrixShape& shape,
                          const BenchMemory& memory) {
  reference::Rmsnorm norm;
  norm.type = type_of(spec);
  norm.rounded = spec.get("order") == "rounded";
  norm.weight_plus_one = spec.get("weight") == "plus_one";
  const auto weight = memory.values<std::uint16_t>("weight", 0, shape.cols);
  for (const std::int64_t row : sample(shape.rows)) {
    const auto x = memory.values<std::uint16_t>("x", row * shape.cols, shape.cols);
    std::vector<std::uint16_t> residual;
    if (spec.get("residual") == "add") {
      residual = memory.values<std::uint16_t>("residual", row * shape.cols, shape.cols);
    }
    const auto normed = rmsnorm_row(x, residual, weight, norm);
    const std::string difference = check_quantized(spec, memory, normed.y, row, shape.rows, row);
    if (!difference.empty()) return difference;
  }
  return {};
}

}  // namespace fourge::tools
