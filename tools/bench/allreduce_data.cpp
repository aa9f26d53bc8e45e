#include "tools/bench/allreduce_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fourge/error.hpp>

#include "reference/allreduce.hpp"
#include "reference/ftz.hpp"
#include "reference/quantize_values.hpp"
#include "reference/rmsnorm.hpp"

namespace fourge::tools {
namespace {

constexpr float kEncodeScale = 448.0F;
constexpr float kDecodeScale = 0.0123F;
constexpr std::int64_t kRowsLookedAt = 12;

std::uint64_t mixed(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15U;
  value = (value ^ (value >> 30U)) * 0xBF58476D1CE4E5B9U;
  value = (value ^ (value >> 27U)) * 0x94D049BB133111EBU;
  return value ^ (value >> 31U);
}

std::int64_t most_rows(const AllreduceBench& bench) {
  return *std::max_element(bench.tokens.begin(), bench.tokens.end());
}

std::size_t elements(const AllreduceBench& bench) {
  return static_cast<std::size_t>(most_rows(bench) * bench.cols);
}

KernelSpec spec_of(const AllreduceBench& bench) {
  KernelSpec spec = KernelSpec::parse(
      fmt::format("{}[{}{}in={},ranks={}]", AllreduceRmsnormQuantizeArgs::kOp, bench.axes,
                  bench.axes.empty() ? "" : ",", bench.dtype, bench.ranks),
      Target::parse("sm_90a"));
  if (spec.get("out") == "sum" || spec.get("out") == "norm" || spec.get("4over6") != "off") {
    throw Error(ErrorKind::invalid_argument,
                "bench allreduce: axes with out=nvfp4, mxfp8 or fp8 and without 4over6");
  }
  return spec;
}

reference::ValueQuantizer quantizer_of(const KernelSpec& spec) {
  reference::ValueQuantizer quantizer;
  const std::string_view out = spec.get("out");
  quantizer.type =
      spec.get("in") == "f16" ? reference::ElementType::f16 : reference::ElementType::bf16;
  quantizer.format = out == "nvfp4"   ? reference::ValueFormat::nvfp4
                     : out == "mxfp8" ? reference::ValueFormat::mxfp8
                                      : reference::ValueFormat::fp8;
  quantizer.per_token = spec.get("scale") == "token";
  quantizer.scale = quantizer.per_token ? reference::ftz::rcp(448.0F * 6.0F)
                    : out == "fp8"      ? kDecodeScale
                                        : kEncodeScale;
  return quantizer;
}

}  // namespace

std::vector<std::uint16_t> allreduce_numbers(bool bf16, std::int64_t count, std::uint64_t seed) {
  std::vector<std::uint16_t> numbers(static_cast<std::size_t>(count));
  const std::uint64_t base = mixed(seed);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const std::uint64_t bits = mixed(base + i);
    const auto sign = (bits >> 20U) & 0x8000U;
    const auto exponent = (bits >> 40U) % 6U;
    numbers[i] =
        static_cast<std::uint16_t>(sign | (bf16 ? ((122U + exponent) << 7U) | (bits & 0x7FU)
                                                : ((10U + exponent) << 10U) | (bits & 0x3FFU)));
  }
  return numbers;
}

AllreduceBuffers::AllreduceBuffers(const DeviceContext& context, const AllreduceBench& bench,
                                   int rank, const Stream& stream)
    : bench_(bench),
      spec_(spec_of(bench)),
      q_row_bytes_(spec_.get("out") == "nvfp4" ? bench.cols / 2 : bench.cols),
      x_(context, elements(bench) * 2),
      residual_(context, x_.size()),
      weight_(context, static_cast<std::size_t>(bench.cols) * 2),
      residual_out_(context, x_.size()),
      q_(context, elements(bench)),
      // Tiles pad rows to 128 and scale columns to 4.
      scales_(context, static_cast<std::size_t>((most_rows(bench) + 127) / 128 * 128 *
                                                (bench.cols / 16 + 4))),
      token_scales_(context, static_cast<std::size_t>(most_rows(bench)) * 4) {
  const bool bf16 = bench.dtype == "bf16";
  const auto count = static_cast<std::int64_t>(elements(bench));
  for (int r = 0; r < bench.ranks; ++r) {
    x_of_ranks_.push_back(allreduce_numbers(bf16, count, 1 + static_cast<std::uint64_t>(r)));
  }
  residual_numbers_ = allreduce_numbers(bf16, count, 100);
  weight_numbers_ = allreduce_numbers(bf16, bench.cols, 101);
  const auto& own = x_of_ranks_[static_cast<std::size_t>(rank)];
  x_.upload(own.data(), own.size() * 2, stream.get());
  residual_.upload(residual_numbers_.data(), residual_numbers_.size() * 2, stream.get());
  weight_.upload(weight_numbers_.data(), weight_numbers_.size() * 2, stream.get());
  stream.synchronize();
}

AllreduceRmsnormQuantizeArgs AllreduceBuffers::args(std::int64_t rows) const {
  AllreduceRmsnormQuantizeArgs args;
  args.x = x_.data();
  args.residual = residual_.data();
  args.weight = weight_.data();
  args.residual_out = residual_out_.data();
  args.q = q_.data();
  args.scales = scales_.data();
  args.token_scales = reinterpret_cast<float*>(token_scales_.data());
  args.scale_value = quantizer_of(spec_).scale;
  args.rows = rows;
  args.cols = bench_.cols;
  return args;
}

void AllreduceBuffers::poison(std::int64_t rows, const Stream& stream) {
  const auto count = static_cast<std::size_t>(rows * bench_.cols);
  residual_out_.fill(0xA5, count * 2, stream.get(), 0);
  q_.fill(0xA5, static_cast<std::size_t>(rows * q_row_bytes_), stream.get(), 0);
}

void AllreduceBuffers::check_row(std::int64_t row, const std::vector<std::uint16_t>& residual_out,
                                 const std::vector<std::uint8_t>& q, AllreduceTime& time) const {
  const auto at = static_cast<std::ptrdiff_t>(row * bench_.cols);
  const auto end = at + static_cast<std::ptrdiff_t>(bench_.cols);
  std::vector<std::vector<std::uint16_t>> pieces;
  for (const auto& x : x_of_ranks_) pieces.emplace_back(x.begin() + at, x.begin() + end);
  const auto type = quantizer_of(spec_).type;
  const auto sum =
      reference::allreduce(type, pieces,
                           spec_.get("accumulate") == "type" ? reference::SumRounding::after_each
                                                             : reference::SumRounding::at_end);
  reference::Rmsnorm norm;
  norm.type = type;
  norm.rounded = spec_.get("order") == "rounded";
  norm.weight_plus_one = spec_.get("weight") == "plus_one";
  const std::vector<std::uint16_t> residual(residual_numbers_.begin() + at,
                                            residual_numbers_.begin() + end);
  const auto normed = reference::rmsnorm_row(sum, residual, weight_numbers_, norm);
  const auto codes = reference::quantize_values(normed.y, quantizer_of(spec_));
  std::size_t equal = 0;
  for (std::size_t i = 0; i < q.size(); ++i) equal += q[i] == codes.codes[i] ? 1U : 0U;
  time.equal_codes =
      std::min(time.equal_codes, static_cast<double>(equal) / static_cast<double>(q.size()));
  if (!time.difference.empty()) return;
  if (residual_out != normed.sum_16) {
    time.difference = fmt::format("residual_out of row {} differs", row);
  } else if (equal != q.size()) {
    time.difference = fmt::format("{} code bytes of row {} differ", q.size() - equal, row);
  }
}

void AllreduceBuffers::check(std::int64_t rows, const Stream& stream, AllreduceTime& time) const {
  const std::int64_t step = std::max<std::int64_t>(1, (rows - 1) / (kRowsLookedAt - 1));
  for (std::int64_t row = 0; row < rows; row += step) {
    std::vector<std::uint16_t> residual_out(static_cast<std::size_t>(bench_.cols));
    std::vector<std::uint8_t> q(static_cast<std::size_t>(q_row_bytes_));
    residual_out_.download(residual_out.data(), residual_out.size() * 2, stream.get(),
                           static_cast<std::size_t>(row * bench_.cols * 2));
    q_.download(q.data(), q.size(), stream.get(), static_cast<std::size_t>(row * q_row_bytes_));
    stream.synchronize();
    check_row(row, residual_out, q, time);
  }
}

}  // namespace fourge::tools
