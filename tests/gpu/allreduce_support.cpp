#include "tests/gpu/allreduce_support.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "reference/allreduce.hpp"
#include "reference/parallel_rows.hpp"
#include "reference/rmsnorm.hpp"
#include "reference/scale_layout.hpp"
#include "tests/support/value_quantizer.hpp"
#include "tests/support/variant_sample.hpp"

namespace fourge::tests {
namespace {

constexpr std::uint8_t kPoison = 0xA5;
constexpr std::size_t kGuard = 256;
constexpr float kEncodeScale = 448.0F;
constexpr float kDecodeScale = 0.0123F;

std::uint64_t mixed(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15U;
  value = (value ^ (value >> 30U)) * 0xBF58476D1CE4E5B9U;
  value = (value ^ (value >> 27U)) * 0x94D049BB133111EBU;
  return value ^ (value >> 31U);
}

reference::ElementType type_of(const std::string& dtype) {
  return dtype == "f16" ? reference::ElementType::f16 : reference::ElementType::bf16;
}

// Between -2 and 2 or so, all mantissas, some small.
std::uint16_t ordinary(bool bf16, std::uint64_t bits) {
  const auto sign = static_cast<std::uint16_t>((bits >> 20U) & 0x8000U);
  const auto exponent = static_cast<unsigned>((bits >> 40U) % 6U);
  return bf16 ? static_cast<std::uint16_t>(sign | ((122U + exponent) << 7U) | (bits & 0x7FU))
              : static_cast<std::uint16_t>(sign | ((10U + exponent) << 10U) | (bits & 0x3FFU));
}

std::uint16_t special(bool bf16, std::uint64_t bits) {
  const std::uint16_t infinity = bf16 ? 0x7F80 : 0x7C00;
  const auto sign = static_cast<std::uint16_t>((bits & 256U) << 7U);
  switch (bits % 8) {
    case 0:
      return static_cast<std::uint16_t>(sign | infinity);
    case 1:
      return static_cast<std::uint16_t>(sign | infinity | 0x15U);  // NaN with a payload
    case 2:
      return static_cast<std::uint16_t>(sign | 3U);  // subnormal
    case 3:
      return static_cast<std::uint16_t>(sign | (infinity - 1U));  // the largest number
    default:
      return 0x8000;  // -0.0
  }
}

// Rows 0 and 1 of specials: only -0.0; rank 0 has what the others have not.
std::vector<std::uint16_t> numbers(const AllreduceCase& c, std::int64_t rows, std::uint64_t stream,
                                   bool specials) {
  const bool bf16 = c.dtype != "f16";
  const auto cols = static_cast<std::size_t>(c.cols);
  std::vector<std::uint16_t> values(static_cast<std::size_t>(rows) * cols);
  const std::uint64_t base = mixed(c.seed * 1000 + stream);
  reference::parallel_rows(rows, rows * c.cols < 1 << 16 ? 1 : test_threads(),
                           [&](std::int64_t first, std::int64_t last) {
                             for (auto i = static_cast<std::size_t>(first) * cols;
                                  i < static_cast<std::size_t>(last) * cols; ++i) {
                               const std::uint64_t bits = mixed(base + i);
                               const std::size_t row = i / cols;
                               // Only every 512th, or all of a row would be NaN in the norm.
                               const bool odd =
                                   specials && row % 2 == 1 && (bits >> 50U) % 512 == 0;
                               values[i] = specials && row == 0 ? std::uint16_t{0x8000}
                                           : odd                ? special(bf16, bits >> 8U)
                                                                : ordinary(bf16, bits);
                             }
                           });
  return values;
}

std::size_t scale_bytes(const AllreduceCase& c, const KernelSpec& spec) {
  const std::string_view out = spec.get("out");
  if (out != "nvfp4" && out != "mxfp8") return 0;
  const std::int64_t block = out == "nvfp4" ? 16 : 32;
  return reference::ScaleMatrix(reference::parse_scale_layout(spec.get("layout")), c.rows,
                                c.cols / block)
      .bytes();
}

std::size_t code_bytes(const AllreduceCase& c, const KernelSpec& spec) {
  const std::string_view out = spec.get("out");
  if (out == "sum" || out == "norm") return 0;
  return static_cast<std::size_t>(c.rows * c.cols) / (out == "nvfp4" ? 2 : 1);
}

KernelSpec some_spec(const AllreduceCase& c) { return c.spec(Target::parse("sm_90a"), "one_shot"); }

std::vector<std::uint16_t> sum_of_row(const AllreduceCase& c, const KernelSpec& spec,
                                      const std::vector<std::vector<std::uint16_t>>& inputs,
                                      std::size_t row) {
  const auto cols = static_cast<std::ptrdiff_t>(c.cols);
  const auto at = static_cast<std::ptrdiff_t>(row) * cols;
  std::vector<std::vector<std::uint16_t>> pieces;
  for (const auto& input : inputs) {
    pieces.emplace_back(input.begin() + at, input.begin() + at + cols);
  }
  return reference::allreduce(type_of(c.dtype), pieces,
                              spec.get("accumulate") == "type" ? reference::SumRounding::after_each
                                                               : reference::SumRounding::at_end);
}

template <class T>
std::string first_difference(const char* name, const std::vector<T>& found,
                             const std::vector<T>& expected, std::size_t count) {
  if (found.size() < count || expected.size() < count) {
    return fmt::format("{}: {} and {} elements; {} were to be compared", name, found.size(),
                       expected.size(), count);
  }
  if (std::memcmp(found.data(), expected.data(), count * sizeof(T)) == 0) return {};
  std::size_t at = 0;
  while (std::memcmp(&found[at], &expected[at], sizeof(T)) == 0) ++at;
  return fmt::format("{}: element {} is {}; expected {}", name, at, found[at], expected[at]);
}

}  // namespace

std::string AllreduceCase::text() const {
  return fmt::format("{} ranks, {} x {} {}, [{}], seed {}{}", ranks, rows, cols, dtype, axes, seed,
                     specials ? ", specials" : "");
}

KernelSpec AllreduceCase::spec(const Target& target, const std::string& algorithm) const {
  return KernelSpec::parse(
      fmt::format("allreduce_rmsnorm_quantize[{}{}in={},ranks={},algorithm={}]", axes,
                  axes.empty() ? "" : ",", dtype, ranks, algorithm),
      target);
}

std::vector<std::uint16_t> allreduce_input(const AllreduceCase& c, int rank) {
  std::vector<std::uint16_t> values =
      numbers(c, c.rows, static_cast<std::uint64_t>(rank), c.specials);
  if (c.specials && c.dtype != "f16" && c.ranks > 1) {
    // Words whose sum is two -0.0: the last rank leaves a negative subnormal, which is flushed.
    const int value = rank == 0 ? 0x0080 : rank == c.ranks - 1 ? 0x8081 : 0;
    for (std::size_t i = 38; i + 2 <= values.size(); i += 614) {
      values[i] = values[i + 1] = static_cast<std::uint16_t>(value);
    }
  }
  return values;
}
std::vector<std::uint16_t> allreduce_residual(const AllreduceCase& c) {
  return numbers(c, c.rows, 100, false);
}
std::vector<std::uint16_t> allreduce_weight(const AllreduceCase& c) {
  return numbers(c, 1, 101, false);
}

AllreduceResults allreduce_expected(const AllreduceCase& c, unsigned threads) {
  const KernelSpec spec = some_spec(c);
  const std::string_view out = spec.get("out");
  const auto rows = static_cast<std::size_t>(c.rows);
  const auto cols = static_cast<std::size_t>(c.cols);
  std::vector<std::vector<std::uint16_t>> inputs;
  for (int rank = 0; rank < c.ranks; ++rank) inputs.push_back(allreduce_input(c, rank));
  const auto residual = allreduce_residual(c);
  const auto weight = allreduce_weight(c);
  reference::Rmsnorm norm;
  norm.type = type_of(c.dtype);
  norm.rounded = spec.get("order") == "rounded";
  norm.weight_plus_one = spec.get("weight") == "plus_one";
  reference::ValueQuantizer quantizer = value_quantizer_of(spec);
  if (!quantizer.per_token) quantizer.scale = out == "fp8" ? kDecodeScale : kEncodeScale;
  const bool sum_only = out == "sum";
  const bool quantized = !sum_only && out != "norm";
  AllreduceResults results;
  if (sum_only) {
    results.sum.resize(rows * cols);
  } else {
    results.residual_out.resize(rows * cols);
    results.norm_out.resize(rows * cols);
    results.q.resize(code_bytes(c, spec));
    results.scales.resize(scale_bytes(c, spec));
    results.token_scales.resize(quantizer.per_token ? rows : 0);
  }
  const reference::ScaleMatrix matrix(reference::parse_scale_layout(spec.get("layout")), c.rows,
                                      c.cols / (out == "mxfp8" ? 32 : 16));
  reference::parallel_rows(c.rows, threads, [&](std::int64_t first, std::int64_t last) {
    for (auto row = static_cast<std::size_t>(first); row < static_cast<std::size_t>(last); ++row) {
      const auto sum = sum_of_row(c, spec, inputs, row);
      const auto at = row * cols;
      if (sum_only) {
        std::copy(sum.begin(), sum.end(), &results.sum[at]);
        continue;
      }
      const auto normed =
          reference::rmsnorm_row(sum, std::span(residual).subspan(at, cols), weight, norm);
      std::copy(normed.sum_16.begin(), normed.sum_16.end(), &results.residual_out[at]);
      std::copy(normed.y_16.begin(), normed.y_16.end(), &results.norm_out[at]);
      if (!quantized) continue;
      const auto codes = reference::quantize_values(normed.y, quantizer);
      std::copy(codes.codes.begin(), codes.codes.end(), &results.q[row * codes.codes.size()]);
      for (std::size_t i = 0; i < codes.scales.size(); ++i) {
        results
            .scales[matrix.offset(static_cast<std::int64_t>(row), static_cast<std::int64_t>(i))] =
            codes.scales[i];
      }
      if (quantizer.per_token) results.token_scales[row] = codes.token_scale;
    }
  });
  return results;
}

std::string difference(const AllreduceResults& found, const AllreduceResults& expected,
                       std::int64_t rows, std::int64_t all_rows) {
  const auto part = [&](std::size_t size) {
    return rows < 0 ? size
                    : size / static_cast<std::size_t>(all_rows) * static_cast<std::size_t>(rows);
  };
  for (const std::string& text :
       {first_difference("sum_out", found.sum, expected.sum, part(expected.sum.size())),
        first_difference("residual_out", found.residual_out, expected.residual_out,
                         part(expected.residual_out.size())),
        first_difference("norm_out", found.norm_out, expected.norm_out,
                         part(expected.norm_out.size())),
        first_difference("q", found.q, expected.q, part(expected.q.size())),
        first_difference("scales", found.scales, expected.scales, part(expected.scales.size())),
        first_difference("token_scales", found.token_scales, expected.token_scales,
                         part(expected.token_scales.size()))}) {
    if (!text.empty()) return text;
  }
  return {};
}

AllreduceBuffers::AllreduceBuffers(const DeviceContext& context, std::int64_t max_rows,
                                   std::int64_t cols)
    : x_(context, static_cast<std::size_t>(max_rows * cols) * 2 + kGuard),
      residual_(context, x_.size()),
      weight_(context, static_cast<std::size_t>(cols) * 2 + kGuard),
      sum_(context, x_.size()),
      residual_out_(context, x_.size()),
      norm_out_(context, x_.size()),
      q_(context, static_cast<std::size_t>(max_rows * cols) + kGuard),
      // Tiles pad rows to 128 and scale columns to 4.
      scales_(context,
              static_cast<std::size_t>((max_rows + 127) / 128 * 128 * (cols / 16 + 4)) + kGuard),
      token_scales_(context, static_cast<std::size_t>(max_rows) * 4 + kGuard) {}

void AllreduceBuffers::poison(CUstream_st* stream) {
  for (DeviceBuffer* buffer : {&sum_, &residual_out_, &norm_out_, &q_, &scales_, &token_scales_}) {
    buffer->fill(kPoison, stream);
  }
}

void AllreduceBuffers::upload_x(const std::vector<std::uint16_t>& x, const Stream& stream) {
  x_.upload(x.data(), x.size() * 2, stream.get());
}

void AllreduceBuffers::prepare(const AllreduceCase& c, int rank, const Stream& stream) {
  case_ = c;
  const KernelSpec spec = some_spec(c);
  const std::string_view out = spec.get("out");
  const auto x = allreduce_input(c, rank);
  const auto residual = allreduce_residual(c);
  const auto weight = allreduce_weight(c);
  x_.upload(x.data(), x.size() * 2, stream.get());
  residual_.upload(residual.data(), residual.size() * 2, stream.get());
  weight_.upload(weight.data(), weight.size() * 2, stream.get());
  poison(stream.get());
  stream.synchronize();
  args_ = {};
  args_.x = x_.data();
  args_.rows = c.rows;
  args_.cols = c.cols;
  if (out == "sum") {
    args_.sum_out = sum_.data();
    return;
  }
  args_.residual = residual_.data();
  args_.weight = weight_.data();
  args_.residual_out = residual_out_.data();
  args_.norm_out = norm_out_.data();
  if (out == "norm") return;
  args_.q = q_.data();
  args_.scales = scales_.data();
  args_.token_scales = reinterpret_cast<float*>(token_scales_.data());
  const auto quantizer = value_quantizer_of(spec);
  args_.scale_value = quantizer.per_token ? quantizer.scale
                      : out == "fp8"      ? kDecodeScale
                                          : kEncodeScale;
}

AllreduceResults AllreduceBuffers::results(const Stream& stream) const {
  const KernelSpec spec = some_spec(case_);
  const auto elements = static_cast<std::size_t>(case_.rows * case_.cols);
  const bool sum_only = spec.get("out") == "sum";
  AllreduceResults results;
  const auto download = [&](const DeviceBuffer& buffer, auto& values, std::size_t count,
                            const char* name) {
    const std::size_t bytes = count * sizeof(values[0]);
    std::vector<std::uint8_t> all(bytes + kGuard);
    buffer.download(all.data(), all.size(), stream.get());
    stream.synchronize();
    values.resize(count);
    if (bytes != 0) std::memcpy(values.data(), all.data(), bytes);
    if (std::any_of(all.begin() + static_cast<std::ptrdiff_t>(bytes), all.end(),
                    [](std::uint8_t b) { return b != kPoison; })) {
      throw std::runtime_error(fmt::format("{} was written behind its end", name));
    }
  };
  download(sum_, results.sum, sum_only ? elements : 0, "sum_out");
  download(residual_out_, results.residual_out, sum_only ? 0 : elements, "residual_out");
  download(norm_out_, results.norm_out, sum_only ? 0 : elements, "norm_out");
  download(q_, results.q, code_bytes(case_, spec), "q");
  download(scales_, results.scales, scale_bytes(case_, spec), "scales");
  download(token_scales_, results.token_scales,
           spec.get("scale") == "token" ? static_cast<std::size_t>(case_.rows) : 0, "token_scales");
  return results;
}

std::vector<std::string> allreduce_axes(const std::string& dtype, int ranks) {
  std::vector<KernelSpec> all;
  for (const KernelSpec& spec :
       legal_variants(allreduce_rmsnorm_quantize_op(), Target::parse("sm_90a"))) {
    if (spec.get("in") == dtype && spec.get("ranks") == std::to_string(ranks) &&
        spec.get("algorithm") == "one_shot") {
      all.push_back(spec);
    }
  }
  const auto chosen = full_run()        ? all
                      : dtype == "bf16" ? pairwise_sample(all, 20)
                                        : axis_value_sample(all, 21);
  std::vector<std::string> axes;
  for (const KernelSpec& spec : chosen) {
    std::string text;
    for (const Axis& axis : spec.op().axes) {
      if (axis.name == "in" || axis.name == "ranks" || axis.name == "algorithm") continue;
      text += fmt::format("{}{}={}", text.empty() ? "" : ",", axis.name, spec.get(axis.name));
    }
    axes.push_back(text);
  }
  return axes;
}

}  // namespace fourge::tests
