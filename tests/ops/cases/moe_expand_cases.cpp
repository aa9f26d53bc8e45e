#include "tests/ops/cases/moe_expand_cases.hpp"

#include <fourge/moe_expand_quantize.hpp>

#include "reference/moe_expand.hpp"
#include "tests/support/four_over_six.hpp"
#include "tests/support/moe_maps.hpp"
#include "tests/support/patterns.hpp"

#include <algorithm>
#include <bit>
#include <memory>

namespace fourge::tests {
namespace {

using reference::ElementType;
using reference::ExpandFormat;
using reference::ScaleMatrix;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

struct Variant {
  explicit Variant(const KernelSpec& spec)
      : format(spec.get("format") == "nvfp4"
                   ? ExpandFormat::nvfp4
                   : (spec.get("format") == "mxfp8" ? ExpandFormat::mxfp8 : ExpandFormat::fp8)),
        layout(reference::parse_scale_layout(spec.get("layout"))),
        padded(spec.get("index") == "padded"),
        per_token(spec.get("scale") == "token"),
        per_expert(spec.get("scale") == "expert"),
        staged(spec.get("staging") == "on"),
        type(spec.get("in") == "bf16" ? ElementType::bf16 : ElementType::f16) {}

  std::int64_t tile() const { return ScaleMatrix(layout, 1, 1).padded_rows(); }
  // Whether the experts have tiles of scales of their own.
  bool regions() const { return !padded && tile() > 1 && format != ExpandFormat::fp8; }

  ExpandFormat format;
  reference::ScaleLayout layout;
  bool padded;
  bool per_token;
  bool per_expert;
  bool staged;
  ElementType type;
};

struct Problem {
  Routing routing;
  RowMaps maps;
  std::int64_t cols = 0;
  bool with_entries = false;
  std::vector<std::uint16_t> x;
  std::vector<float> global_scales;
  std::vector<std::int32_t> expert_ids;
  std::vector<std::uint8_t> codes;
  std::vector<std::uint8_t> scales;
  std::vector<float> token_scales;
};

std::int64_t region_start(const Problem& problem, std::int64_t tile, std::int64_t expert) {
  const std::int64_t first = problem.maps.expert_rows[index(expert)] + (tile - 1) * expert;
  return (first + tile - 1) / tile * tile;
}

std::vector<reference::ExpandedRow> expanded_rows(const Variant& variant, const Problem& problem) {
  std::vector<reference::ExpandedRow> list;
  const Routing& routing = problem.routing;
  for (std::int64_t t = 0; t < routing.tokens; ++t) {
    for (std::int64_t j = 0; j < routing.top_k; ++j) {
      const std::int64_t row =
          problem.maps.rows[index(variant.padded ? t * routing.top_k + j : j * routing.tokens + t)];
      if (row < 0) {
        continue;
      }
      const std::int64_t e = routing.ids[index(t * routing.top_k + j)] - routing.first_local;
      const std::int64_t scale_row =
          variant.regions()
              ? region_start(problem, variant.tile(), e) + row - problem.maps.expert_rows[index(e)]
              : row;
      const auto scale = variant.per_expert ? index(e) : 0;
      list.push_back({t, row, scale_row, problem.global_scales[scale]});
    }
  }
  return list;
}

void zero_padding(const Variant& variant, Problem& problem, const ScaleMatrix& matrix,
                  const std::vector<reference::ExpandedRow>& rows) {
  if (variant.regions()) {
    std::vector<bool> held(index(matrix.padded_rows()));
    for (const auto& row : rows) {
      held[index(row.scale_row)] = true;
    }
    const std::int64_t end = region_start(problem, variant.tile(), problem.routing.locals);
    for (std::int64_t row = 0; row < end; ++row) {
      if (!held[index(row)]) {
        zero_scale_row(matrix, row, problem.scales);
      }
    }
  } else if (problem.with_entries) {
    for (std::int64_t row = 0; row < problem.maps.capacity; ++row) {
      const std::int64_t entry = problem.maps.entries[index(row)];
      if (entry < 0 || entry >= std::ssize(problem.maps.rows)) {
        zero_scale_row(matrix, row, problem.scales);
      }
    }
  }
}

void fill_expected(const KernelSpec& spec, const Variant& variant, Problem& problem) {
  const std::int64_t block = variant.format == ExpandFormat::mxfp8 ? 32 : 16;
  const std::int64_t scale_rows =
      variant.regions() ? moe::expand_scale_rows(spec.get("layout"), "compact",
                                                 problem.maps.capacity, problem.routing.locals)
                        : problem.maps.capacity;
  const ScaleMatrix matrix(variant.layout, scale_rows, problem.cols / block);
  const bool nvfp4 = variant.format == ExpandFormat::nvfp4;
  problem.codes.assign(index(problem.maps.capacity * problem.cols / (nvfp4 ? 2 : 1)), kPoison);
  if (variant.format != ExpandFormat::fp8) {
    problem.scales.assign(matrix.bytes(), kPoison);
  }
  if (variant.per_token) {
    problem.token_scales.assign(index(problem.maps.capacity), std::bit_cast<float>(0xA5A5A5A5U));
  }
  const auto rows = expanded_rows(variant, problem);
  moe_expand({variant.format, variant.type, problem.x, problem.cols, variant.per_token,
              four_over_six_of(spec)},
             rows, matrix, {problem.codes, problem.scales, problem.token_scales});
  if (variant.format != ExpandFormat::fp8) {
    zero_padding(variant, problem, matrix, rows);
  }
}

// Entries that are none, of several kinds.
void spoil_padding(Problem& problem) {
  const std::int32_t none[] = {-1, static_cast<std::int32_t>(problem.maps.rows.size()), 0x7FFFFFFF,
                               -0x7FFFFFFF - 1};
  std::size_t next = 0;
  for (std::int32_t& entry : problem.maps.entries) {
    entry = entry < 0 ? none[next++ % 4] : entry;
  }
}

// Counters that are zero, and what earlier calls left.
std::vector<std::uint8_t> workspace_of(const KernelSpec& spec, const Problem& problem) {
  if (spec.get("staging") == "off") {
    return {};
  }
  std::vector<std::uint8_t> bytes(
      moe::expand_workspace_bytes(spec.get("format"), problem.routing.tokens, problem.cols),
      kPoison);
  const std::size_t counters = moe::expand_workspace_bytes(spec.get("format"), 0, problem.cols);
  std::fill_n(bytes.begin(), counters, std::uint8_t{0});
  return bytes;
}

OpCall make_call(const KernelSpec& spec, const Routing& routing, std::int64_t cols, Pattern pattern,
                 std::uint64_t seed) {
  const Variant variant(spec);
  auto problem = std::make_shared<Problem>();
  problem->routing = routing;
  problem->maps =
      make_row_maps(routing, variant.padded ? IndexConvention::padded : IndexConvention::compact,
                    variant.padded ? 8 : 1);
  problem->cols = cols;
  problem->with_entries = variant.staged || (!variant.regions() && seed % 2 == 0);
  if (variant.staged && seed % 2 == 0) {
    spoil_padding(*problem);
  }
  problem->x = make_input(pattern, variant.type, routing.tokens, cols, seed);
  const float g = te_global_scale(problem->x, variant.type);
  for (std::int64_t e = 0; e <= routing.locals; ++e) {
    problem->global_scales.push_back(g / static_cast<float>(1 + 3 * e));
  }
  problem->global_scales.resize(variant.per_expert ? index(routing.locals) + 1 : 1);
  for (const std::int64_t id : routing.ids) {
    problem->expert_ids.push_back(static_cast<std::int32_t>(id));
  }
  fill_expected(spec, variant, *problem);
  OpCall call{spec,
              routing.label + ", cols " + std::to_string(cols) + " " + to_string(pattern),
              {input_buffer("x", problem->x),
               output_buffer("out", problem->codes),
               output_buffer("scales", problem->scales),
               output_buffer("token_scales", problem->token_scales),
               input_buffer("global_scale", problem->global_scales),
               input_buffer("rows", problem->maps.rows),
               input_buffer("expert_ids", problem->expert_ids),
               input_buffer("expert_rows", problem->maps.expert_rows),
               input_buffer("row_entries", problem->maps.entries),
               {"workspace", OpBuffer::Role::scratch, workspace_of(spec, *problem)}},
              {},
              {}};
  call.args = [problem](std::span<std::uint8_t* const> at) {
    MoeExpandQuantizeArgs args;
    args.x = at[0];
    args.out = at[1];
    args.scales = at[2];
    args.token_scales = reinterpret_cast<float*>(at[3]);
    args.global_scale = reinterpret_cast<const float*>(at[4]);
    args.rows = reinterpret_cast<const std::int32_t*>(at[5]);
    args.expert_ids = reinterpret_cast<const std::int32_t*>(at[6]);
    args.expert_rows = reinterpret_cast<const std::int64_t*>(at[7]);
    args.row_entries =
        problem->with_entries ? reinterpret_cast<const std::int32_t*>(at[8]) : nullptr;
    args.workspace = at[9];
    args.tokens = problem->routing.tokens;
    args.top_k = problem->routing.top_k;
    args.cols = problem->cols;
    args.capacity = problem->maps.capacity;
    args.experts = problem->routing.locals;
    args.first_expert = problem->routing.first_local;
    return args_bytes(args);
  };
  return call;
}

}  // namespace

void visit_moe_expand_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  std::uint64_t seed = 120;
  const auto visit = [&](const Routing& routing, std::int64_t cols, Pattern pattern) {
    sink(make_call(spec, routing, cols, pattern, ++seed));
  };
  if (spec.get("staging") == "on") {
    visit(random_routing(5, 40, 48, 3, 44, 9), 96, Pattern::random);  // more experts than lanes
  }
  if (size == CallSize::large) {
    visit(random_routing(257, 8, 64, 16, 32, 6), 7168, Pattern::random);
    // More tokens than the grid has in y.
    visit(random_routing(70001, 2, 8, 0, 5, 7), 32, Pattern::random);
    return;
  }
  for (const Routing& routing : usual_routings()) {
    visit(routing, 96, Pattern::random);
  }
  const Routing some = random_routing(9, 3, 5, 1, 3, 8);
  for (const Pattern pattern : all_patterns()) {
    visit(some, 224, pattern);
  }
  visit(some, 4256, Pattern::random);
}

}  // namespace fourge::tests
