#include "tests/ops/cases/nvfp4_per_token_cases.hpp"

#include <fourge/nvfp4_quantize_per_token.hpp>

#include "reference/ftz.hpp"
#include "reference/nvfp4_per_token.hpp"
#include "tests/ops/cases/matrix_shapes.hpp"
#include "tests/support/four_over_six.hpp"
#include "tests/support/near_choice.hpp"
#include "tests/support/patterns.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <utility>

namespace fourge::tests {
namespace {

using reference::ElementType;
using reference::Nvfp4Problem;
using reference::PerTokenOutput;
using RowMap = std::vector<std::int32_t>;

// The inputs live as long as the problem that looks at them.
struct Owned {
  std::vector<std::uint16_t> x;
  RowMap map;
  bool mapped = false;
  float inverse = 0;
  Nvfp4Problem problem;
  std::optional<reference::FourOverSix> config;
  std::vector<bool> written;
  PerTokenOutput expected;
};
using Shared = std::shared_ptr<Owned>;

struct Shape {
  std::int64_t rows;
  std::int64_t cols;
};

// Rows that are not named keep the poison everywhere, the others have their padding columns zero.
void poison_unwritten(Owned& owned) {
  constexpr std::uint32_t kPoisonWord = 0xA5A5A5A5U;
  const auto matrix = owned.problem.scale_matrix();
  const auto row_codes = static_cast<std::ptrdiff_t>(owned.problem.cols / 2);
  for (std::int64_t row = 0; row < matrix.padded_rows(); ++row) {
    const bool real = row < matrix.rows();
    if (real && owned.written[static_cast<std::size_t>(row)]) {
      continue;
    }
    for (std::int64_t col = 0; col < matrix.padded_cols(); ++col) {
      owned.expected.blocks.scales[matrix.offset(row, col)] = kPoison;
    }
    if (real) {
      std::fill_n(owned.expected.blocks.codes.begin() + row * row_codes, row_codes, kPoison);
      std::memcpy(&owned.expected.token_scales[static_cast<std::size_t>(row)], &kPoisonWord, 4);
    }
  }
}

Shared make_problem(const KernelSpec& spec, const Shape& shape, std::vector<std::uint16_t> x,
                    const RowMap* map) {
  auto owned = std::make_shared<Owned>();
  owned->x = std::move(x);
  owned->config = four_over_six_of(spec);
  const float range = owned->config ? static_cast<float>(owned->config->e4m3_max) : 448.0F;
  owned->inverse = reference::ftz::rcp(range * 6.0F);
  Nvfp4Problem& problem = owned->problem;
  problem.x = owned->x;
  problem.type = spec.get("in") == "bf16" ? ElementType::bf16 : ElementType::f16;
  problem.rows = shape.rows;
  problem.cols = shape.cols;
  problem.math =
      spec.get("math") == "exact" ? reference::MathMode::exact : reference::MathMode::fast;
  problem.layout = reference::parse_scale_layout(spec.get("layout"));
  owned->expected = quantize_nvfp4_per_token(problem, owned->inverse, owned->config, 4);
  owned->written.assign(static_cast<std::size_t>(shape.rows), map == nullptr);
  if (map != nullptr) {
    owned->mapped = true;
    owned->map = *map;
    for (const std::int32_t row : *map) {
      if (row >= 0 && row < shape.rows) {
        owned->written[static_cast<std::size_t>(row)] = true;
      }
    }
    poison_unwritten(*owned);
  }
  return owned;
}

std::string judge(const Owned& owned, std::span<const std::vector<std::uint8_t>> found,
                  Excused& excused) {
  PerTokenOutput output{{found[1], found[2]}, std::vector<float>(found[3].size() / sizeof(float))};
  if (!found[3].empty()) {
    std::memcpy(output.token_scales.data(), found[3].data(), found[3].size());
  }
  const auto report = compare_per_token(owned.problem, owned.inverse, owned.config, owned.written,
                                        owned.expected, output);
  excused.codes += report.excused_codes;
  excused.blocks += report.excused_blocks;
  return report.first;
}

OpCall make_call(const KernelSpec& spec, const Shared& owned, std::string label) {
  OpCall call{spec,
              std::move(label),
              {input_buffer("x", owned->x), output_buffer("codes", owned->expected.blocks.codes),
               output_buffer("scales", owned->expected.blocks.scales),
               output_buffer("token_scales", owned->expected.token_scales),
               input_buffer("row_map", owned->map)},
              {},
              {}};
  call.args = [owned](std::span<std::uint8_t* const> at) {
    Nvfp4QuantizePerTokenArgs args;
    args.x = at[0];
    args.codes = at[1];
    args.scales = at[2];
    args.token_scales = reinterpret_cast<float*>(at[3]);
    args.row_map = owned->mapped ? reinterpret_cast<const std::int32_t*>(at[4]) : nullptr;
    args.global_scale_inverse = owned->inverse;
    args.rows = owned->problem.rows;
    args.cols = owned->problem.cols;
    args.mapped_rows = std::ssize(owned->map);
    return args_bytes(args);
  };
  if (owned->problem.math == reference::MathMode::fast) {
    call.excused = std::make_shared<Excused>();
    call.judge = [owned, excused = call.excused](std::span<const std::vector<std::uint8_t>> found) {
      return judge(*owned, found, *excused);
    };
  }
  return call;
}

// Some rows twice, some not at all, entries to skip among them.
RowMap make_map(std::int64_t rows, std::size_t entries, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  RowMap map;
  for (std::size_t i = 0; i < entries; ++i) {
    const auto draw = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(rows + 3));
    map.push_back(static_cast<std::int32_t>(draw - 2));  // -2, -1, ..., rows
  }
  return map;
}

constexpr Shape kSmall[] = {{0, 64},   {1, 16},  {3, 64},   {17, 208}, {9, 80},
                            {129, 32}, {5, 528}, {2, 2064}, {1, 7168}};
constexpr Shape kMapped[] = {{20, 80}, {130, 64}, {7, 2080}, {1, 16}};
constexpr Shape kLong[] = {{2, 32768}, {1, 65536}, {1, 65552}, {1, 131072}};
constexpr Shape kLarge[] = {{1000, 7168}, {4096, 4096}, {3333, 1040}, {130, 8192}};
constexpr Shape kLargeLong[] = {{128, 16384}, {64, 32768}, {40, 65536}, {5, 131072}, {3, 1048592}};

bool fits(const KernelSpec& spec, const Shape& shape) {
  const std::int64_t most = nvfp4_per_token_most_columns(spec);
  return most == 0 || shape.cols <= most;
}

}  // namespace

void visit_nvfp4_per_token_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  const ElementType type = spec.get("in") == "bf16" ? ElementType::bf16 : ElementType::f16;
  std::uint64_t seed = 300;
  const auto visit = [&](const Shape& shape, Pattern pattern, const RowMap* map) {
    if (!fits(spec, shape)) {
      return;
    }
    auto x = make_input(pattern, type, shape.rows, shape.cols, ++seed);
    sink(make_call(spec, make_problem(spec, shape, std::move(x), map),
                   std::to_string(shape.rows) + "x" + std::to_string(shape.cols) + " " +
                       to_string(pattern) + (map == nullptr ? "" : ", row map")));
  };
  if (size == CallSize::large) {
    for (const Shape& shape : kLarge) {
      visit(shape, Pattern::random, nullptr);
    }
    for (const Shape& shape : kLargeLong) {
      visit(shape, Pattern::random, nullptr);
    }
    const RowMap map = make_map(1000, 600, 1);
    visit({1000, 7168}, Pattern::random, &map);
    return;
  }
  if (size == CallSize::matrix || size == CallSize::matrix_small) {
    for (const MatrixShape& shape : matrix_shapes(size)) {
      for (const Pattern pattern : kMatrixPatterns) {
        visit({shape.rows, shape.cols}, pattern, nullptr);
      }
    }
    return;
  }
  for (const Pattern pattern : all_patterns()) {
    for (const Shape& shape : kSmall) {
      visit(shape, pattern, nullptr);
    }
  }
  for (const Shape& shape : kMapped) {
    const RowMap map = make_map(shape.rows, static_cast<std::size_t>(shape.rows), ++seed);
    visit(shape, Pattern::random, &map);
    visit(shape, Pattern::specials, &map);
  }
  const RowMap none;
  visit({5, 64}, Pattern::random, &none);
  for (const Shape& shape : kLong) {
    visit(shape, Pattern::specials, nullptr);
  }
  if (spec.get("4over6") != "off") {
    const Shape shape{48, 512};
    sink(make_call(
        spec,
        make_problem(spec, shape, near_choice_input(type, shape.rows, shape.cols, ++seed), nullptr),
        "near choices"));
  }
}

}  // namespace fourge::tests
