#include "tests/ops/cases/allreduce_cases.hpp"

#include <fourge/allreduce_rmsnorm_quantize.hpp>

#include "reference/allreduce.hpp"
#include "tests/support/patterns.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace fourge::tests {
namespace {

using Elements = std::vector<std::uint16_t>;

Elements part_of_rank(reference::ElementType type, std::int64_t rows, std::int64_t cols,
                      bool specials, std::uint64_t seed) {
  const Pattern pattern = !specials       ? Pattern::random
                          : seed % 2 == 0 ? Pattern::specials
                                          : Pattern::subnormals;
  Elements part = make_input(pattern, type, rows, cols, seed);
  for (std::size_t i = seed % 5; i < part.size(); i += 5 + i % 7) {
    part[i] = 0x8000;
  }
  // Whole words, vectors and blocks of it.
  for (std::size_t i = 64; i + 32 < part.size(); i += 977) {
    std::fill_n(part.begin() + static_cast<std::ptrdiff_t>(i / 32 * 32), 32, std::uint16_t{0x8000});
  }
  return part;
}

// Words whose sum is two -0.0: what the last rank adds leaves a negative subnormal, which is flushed. There is
// no such sum of half-precision numbers.
void add_negative_zero_sums(std::vector<Elements>& x) {
  for (std::size_t i = 38; i + 2 <= x[0].size(); i += 614) {
    for (Elements& part : x) std::fill_n(part.begin() + static_cast<std::ptrdiff_t>(i), 2, 0);
    std::fill_n(x.front().begin() + static_cast<std::ptrdiff_t>(i), 2, std::uint16_t{0x0080});
    std::fill_n(x.back().begin() + static_cast<std::ptrdiff_t>(i), 2, std::uint16_t{0x8081});
  }
}

// Of a rank by itself, as it must be before its first call.
Elements fresh_workspace(const comm::WorkspaceLayout& layout) {
  Elements words(static_cast<std::size_t>(layout.bytes / 2), 0);
  for (auto i = layout.one_shot_offset / 2; i < layout.input_offset / 2; ++i) {
    words[static_cast<std::size_t>(i)] = comm::kSentinelWord & 0xFFFFU;
  }
  return words;
}

template <class T>
OpBuffer scratch_buffer(std::string name, const std::vector<T>& values) {
  OpBuffer buffer = input_buffer(std::move(name), values);
  buffer.role = OpBuffer::Role::scratch;
  return buffer;
}

OpCall make_call(const KernelSpec& spec, const AllreduceCase& c, bool optional_outputs,
                 std::string label) {
  const bool sum = spec.get("out") == "sum";
  const bool token = spec.get("scale") == "token";
  const bool norm_out = optional_outputs || spec.get("out") == "norm";
  const auto layout = comm::workspace_layout({1, c.rows, c.rows, c.cols});
  OpCall call{
      spec,
      std::move(label),
      {input_buffer("x", c.x[0]), input_buffer("residual", sum ? Elements{} : c.residual),
       input_buffer("weight", sum ? Elements{} : c.weight),
       output_buffer("sum_out", sum ? c.sum : Elements{}),
       output_buffer("residual_out", !sum && optional_outputs ? c.after.residual_out : Elements{}),
       output_buffer("norm_out", !sum && norm_out ? c.after.norm_out : Elements{}),
       output_buffer("q", c.after.q), output_buffer("scales", c.after.scales),
       output_buffer("token_scales", token ? c.after.token_scales : std::vector<float>{}),
       scratch_buffer("peer0", fresh_workspace(layout)),
       scratch_buffer("control", std::vector<std::uint8_t>(comm::kControlBytes)),
       scratch_buffer("report", std::vector<std::uint8_t>(comm::kReportBytes))},
      {},
      {}};
  AllreduceRmsnormQuantizeArgs args;
  args.scale_value = sum ? 1.0F : c.after.scale;
  args.eps = c.after.eps;
  args.rows = c.rows;
  args.cols = c.cols;
  args.multiprocessors = 4;
  args.slot_bytes = layout.slot_bytes;
  args.input_offset = layout.input_offset;
  args.input_slot_bytes = layout.input_slot_bytes;
  args.result_offset = layout.result_offset;
  args.workspace_bytes = layout.bytes;
  call.args = [=](std::span<std::uint8_t* const> at) {
    AllreduceRmsnormQuantizeArgs a = args;
    a.x = at[0];
    a.residual = at[1];
    a.weight = at[2];
    a.sum_out = at[3];
    a.residual_out = optional_outputs ? at[4] : nullptr;
    a.norm_out = norm_out ? at[5] : nullptr;
    a.q = at[6];
    a.scales = at[7];
    a.token_scales = reinterpret_cast<float*>(at[8]);
    a.peers[0] = at[9];
    a.control = at[10];
    a.report = at[11];
    return args_bytes(a);
  };
  return call;
}

}  // namespace

AllreduceCase make_allreduce_case(const KernelSpec& spec, std::int64_t rows, std::int64_t cols,
                                  bool specials, std::uint64_t seed) {
  const auto type =
      spec.get("in") == "bf16" ? reference::ElementType::bf16 : reference::ElementType::f16;
  AllreduceCase c{rows, cols, {}, {}, {}, {}, {}};
  const int ranks = spec.get("ranks").front() - '0';
  for (int r = 0; r < ranks; ++r) {
    c.x.push_back(part_of_rank(type, rows, cols, specials, seed * 10 + static_cast<unsigned>(r)));
  }
  if (ranks > 1 && type == reference::ElementType::bf16) {
    add_negative_zero_sums(c.x);
  }
  c.residual = make_input(Pattern::random, type, rows, cols, seed * 10 + 8);
  c.weight = make_input(Pattern::random, type, 1, cols, seed * 10 + 9);
  c.sum =
      reference::allreduce(type, c.x,
                           spec.get("accumulate") == "f32" ? reference::SumRounding::at_end
                                                           : reference::SumRounding::after_each);
  if (spec.get("out") != "sum") {
    c.after = expect_norm(spec, {rows, cols, c.sum, c.residual, c.weight});
  }
  return c;
}

void visit_allreduce_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  struct Shape {
    std::int64_t rows;
    std::int64_t cols;
  };
  constexpr Shape kSmall[] = {{1, 1024}, {3, 1040}, {9, 2880}, {1, 7168}, {2, 16384}};
  constexpr Shape kLarge[] = {{130, 1024}, {64, 5120}, {300, 7168}, {22, 16384}};
  if (spec.get("ranks") != "1") {
    return;
  }
  std::uint64_t seed = 40;
  for (const Shape& shape :
       size == CallSize::large ? std::span<const Shape>(kLarge) : std::span<const Shape>(kSmall)) {
    if (spec.get("out") == "mxfp8" && shape.cols % 32 != 0) {
      continue;
    }
    ++seed;
    const bool specials = shape.rows > 1 && shape.cols < 7168;
    const AllreduceCase c = make_allreduce_case(spec, shape.rows, shape.cols, specials, seed);
    sink(make_call(spec, c, seed % 2 == 0,
                   std::to_string(shape.rows) + "x" + std::to_string(shape.cols)));
  }
}

}  // namespace fourge::tests
