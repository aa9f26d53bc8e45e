#include "tests/ops/cases/nvfp4_activation_cases.hpp"

#include <fourge/nvfp4_activation_quantize.hpp>

#include "reference/nvfp4.hpp"
#include "reference/nvfp4_4over6.hpp"
#include "reference/silu.hpp"
#include "tests/support/four_over_six.hpp"
#include "tests/support/patterns.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <utility>

namespace fourge::tests {
namespace {

using reference::ElementType;
using reference::Nvfp4Output;
using reference::Nvfp4Problem;
using Elements = std::vector<std::uint16_t>;

ElementType type_of(const KernelSpec& spec) {
  return spec.get("in") == "bf16" ? ElementType::bf16 : ElementType::f16;
}

bool is_fast(const KernelSpec& spec) { return spec.get("math") == "fast"; }

// The halves of every row, and the value that is quantized.
struct Activated {
  Elements x;  // [rows, 2 * cols]
  Elements y;  // [rows, cols]
};

Activated activate(const Elements& gate, const Elements& linear, std::int64_t cols, bool gate_first,
                   ElementType type) {
  Activated result;
  result.y = reference::silu_and_mul(gate, linear, type);
  const auto& first = gate_first ? gate : linear;
  const auto& second = gate_first ? linear : gate;
  const auto step = cols;
  for (auto at = std::ptrdiff_t{0}; at < std::ssize(gate); at += step) {
    result.x.insert(result.x.end(), first.begin() + at, first.begin() + at + step);
    result.x.insert(result.x.end(), second.begin() + at, second.begin() + at + step);
  }
  return result;
}

Nvfp4Output quantize(const Elements& y, const KernelSpec& spec, std::int64_t rows,
                     std::int64_t cols, float global_scale, reference::ScaleLayout layout) {
  Nvfp4Problem problem;
  problem.x = y;
  problem.type = type_of(spec);
  problem.rows = rows;
  problem.cols = cols;
  problem.global_scale = global_scale;
  problem.math = is_fast(spec) ? reference::MathMode::fast : reference::MathMode::exact;
  problem.layout = layout;
  if (const auto config = four_over_six_of(spec)) {
    return reference::quantize_nvfp4_4over6(problem, *config, 4);
  }
  return reference::quantize_nvfp4(problem, 4);
}

std::size_t differing_bytes(const std::vector<std::uint8_t>& a,
                            const std::vector<std::uint8_t>& b) {
  return static_cast<std::size_t>(
      std::inner_product(a.begin(), a.end(), b.begin(), std::ptrdiff_t{0}, std::plus<>(),
                         [](std::uint8_t x, std::uint8_t y) { return x != y ? 1 : 0; }));
}

std::size_t differing_codes(const std::vector<std::uint8_t>& a,
                            const std::vector<std::uint8_t>& b) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const int bits = a[i] ^ b[i];
    count += ((bits & 0x0F) != 0 ? 1U : 0U) + ((bits & 0xF0) != 0 ? 1U : 0U);
  }
  return count;
}

// Fast mode's exponential and division may be an ulp or two off, which the rounding to 16 bits shows
// now and then: at most one byte in twenty may differ.
std::string mostly_equal(const char* name, const std::vector<std::uint8_t>& expected,
                         const std::vector<std::uint8_t>& found) {
  const std::size_t differing = differing_bytes(expected, found);
  if (differing * 20 <= expected.size()) {
    return {};
  }
  return std::string(name) + ": " + std::to_string(differing) + " of " +
         std::to_string(expected.size()) + " bytes differ";
}

// What differs and is let pass is counted: codes, and blocks by their scales.
void judge_fast(OpCall& call) {
  const auto codes = call.buffers[1].bytes;
  const auto scales = call.buffers[2].bytes;
  call.excused = std::make_shared<Excused>();
  call.judge = [codes, scales,
                excused = call.excused](std::span<const std::vector<std::uint8_t>> found) {
    std::string first = mostly_equal("codes", codes, found[1]);
    if (first.empty()) {
      first = mostly_equal("scales", scales, found[2]);
    }
    excused->codes += differing_codes(codes, found[1]);
    excused->blocks += differing_bytes(scales, found[2]);
    return first;
  };
}

OpCall silu_call(const KernelSpec& spec, Pattern pattern, std::int64_t rows, std::int64_t cols,
                 std::uint64_t seed) {
  const ElementType type = type_of(spec);
  const auto data = activate(make_input(pattern, type, rows, cols, seed),
                             make_input(pattern, type, rows, cols, seed + 1000), cols,
                             spec.get("order") == "gate_first", type);
  const float scale = te_global_scale(data.y, type);
  const auto expected =
      quantize(data.y, spec, rows, cols, scale, reference::parse_scale_layout(spec.get("layout")));
  OpCall call{spec,
              std::to_string(rows) + "x" + std::to_string(cols) + " " + to_string(pattern),
              {input_buffer("x", data.x), output_buffer("codes", expected.codes),
               output_buffer("scales", expected.scales)},
              {},
              {}};
  call.args = [=](std::span<std::uint8_t* const> at) {
    SiluAndMulNvfp4QuantizeArgs args;
    args.x = at[0];
    args.codes = at[1];
    args.scales = at[2];
    args.global_scale_value = scale;
    args.rows = rows;
    args.cols = cols;
    return args_bytes(args);
  };
  if (is_fast(spec)) {
    judge_fast(call);
  }
  return call;
}

struct GroupedShape {
  std::int64_t rows;
  std::int64_t cols;
  std::vector<std::int32_t> valid_rows;  // one an expert
};

// Appends one expert's results; what lies beyond its valid rows keeps the poison.
void append_expert(const Nvfp4Output& whole, const GroupedShape& shape, std::int32_t valid,
                   Nvfp4Output& all) {
  const auto row_codes = static_cast<std::size_t>(shape.cols / 2);
  std::vector<std::uint8_t> codes(whole.codes.size(), kPoison);
  std::copy_n(whole.codes.begin(), static_cast<std::size_t>(valid) * row_codes, codes.begin());
  std::vector<std::uint8_t> scales(whole.scales.size(), kPoison);
  const reference::ScaleMatrix matrix(reference::ScaleLayout::tiled_128x4, shape.rows,
                                      shape.cols / 16);
  for (std::int64_t r = 0; r < valid; ++r) {
    for (std::int64_t c = 0; c < matrix.cols(); ++c) {
      scales[matrix.offset(r, c)] = whole.scales[matrix.offset(r, c)];
    }
  }
  all.codes.insert(all.codes.end(), codes.begin(), codes.end());
  all.scales.insert(all.scales.end(), scales.begin(), scales.end());
}

OpCall grouped_call(const KernelSpec& spec, Pattern pattern, const GroupedShape& shape,
                    std::uint64_t seed) {
  const ElementType type = type_of(spec);
  const bool silu = spec.get("act") == "silu";
  Elements x;
  std::vector<float> global_scales;
  Nvfp4Output all;
  for (std::size_t expert = 0; expert < shape.valid_rows.size(); ++expert) {
    Activated data;
    data.y = make_input(pattern, type, shape.rows, shape.cols, seed + expert);
    data.x = data.y;
    if (silu) {
      data =
          activate(data.y, make_input(pattern, type, shape.rows, shape.cols, seed + 500 + expert),
                   shape.cols, true, type);
    }
    global_scales.push_back(te_global_scale(data.y, type) * (expert % 2 == 0 ? 1.0F : 0.75F));
    const auto valid = std::clamp<std::int64_t>(shape.valid_rows[expert], 0, shape.rows);
    append_expert(quantize(data.y, spec, shape.rows, shape.cols, global_scales.back(),
                           reference::ScaleLayout::tiled_128x4),
                  shape, static_cast<std::int32_t>(valid), all);
    x.insert(x.end(), data.x.begin(), data.x.end());
  }
  OpCall call{
      spec,
      std::to_string(shape.valid_rows.size()) + "x" + std::to_string(shape.rows) + "x" +
          std::to_string(shape.cols) + " " + to_string(pattern),
      {input_buffer("x", x), output_buffer("codes", all.codes), output_buffer("scales", all.scales),
       input_buffer("global_scales", global_scales), input_buffer("valid_rows", shape.valid_rows)},
      {},
      {}};
  call.args = [shape](std::span<std::uint8_t* const> at) {
    Nvfp4QuantizeGroupedArgs args;
    args.x = at[0];
    args.codes = at[1];
    args.scales = at[2];
    args.global_scales = reinterpret_cast<const float*>(at[3]);
    args.valid_rows = reinterpret_cast<const std::int32_t*>(at[4]);
    args.experts = std::ssize(shape.valid_rows);
    args.rows = shape.rows;
    args.cols = shape.cols;
    return args_bytes(args);
  };
  if (is_fast(spec)) {
    judge_fast(call);
  }
  return call;
}

}  // namespace

void visit_silu_and_mul_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  if (size == CallSize::large) {
    sink(silu_call(spec, Pattern::random, 1024, 7168, 1));
    sink(silu_call(spec, Pattern::random, 7200, 2064, 2));  // three blocks a thread
    return;
  }
  // On the host the last has several blocks a thread.
  constexpr std::array<std::array<std::int64_t, 2>, 7> kShapes{
      {{0, 16}, {1, 16}, {3, 64}, {17, 208}, {130, 48}, {2, 4096}, {67, 2064}}};
  std::uint64_t seed = 7;
  for (const auto& [rows, cols] : kShapes) {
    for (const Pattern pattern : all_patterns()) {
      sink(silu_call(spec, pattern, rows, cols, ++seed));
    }
  }
}

void visit_nvfp4_quantize_grouped_calls(const KernelSpec& spec, CallSize size,
                                        const CallSink& sink) {
  if (size == CallSize::large) {
    sink(grouped_call(spec, Pattern::random, {256, 4096, {256, 0, 17, 200}}, 1));
    return;
  }
  const std::array<GroupedShape, 6> shapes{{{0, 64, {0, 0}},
                                            {5, 64, {}},
                                            {1, 128, {1}},
                                            {256, 128, {256, 1, 0}},
                                            {120, 64, {119, -3}},
                                            {33, 208, {33, 32, 1000, 7}}}};
  std::uint64_t seed = 70;
  for (const GroupedShape& shape : shapes) {
    for (const Pattern pattern : all_patterns()) {
      sink(grouped_call(spec, pattern, shape, seed += 10));
    }
  }
}

}  // namespace fourge::tests
