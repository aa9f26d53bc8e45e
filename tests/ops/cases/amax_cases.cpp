#include "tests/ops/cases/amax_cases.hpp"

#include <fourge/amax.hpp>

#include "reference/amax.hpp"
#include "tests/support/patterns.hpp"

#include <bit>
#include <random>
#include <utility>

namespace fourge::tests {
namespace {

using reference::ElementType;

// The input as it lies in memory, and its values.
struct Input {
  OpBuffer buffer;
  std::vector<float> values;
};

// For f32 the values of a bf16 pattern, every other one with more significant bits; so there are NaN,
// too, that differ from infinity in the lowest bits only, and subnormals below bf16's.
Input make_floats(Pattern pattern, std::int64_t rows, std::int64_t cols, std::uint64_t seed) {
  const auto wide = make_input(pattern, ElementType::bf16, rows, cols, seed);
  auto values = reference::to_floats(wide, ElementType::bf16);
  std::mt19937_64 random(seed);
  for (float& value : values) {
    const auto low = static_cast<std::uint32_t>(random());
    if ((low & 0x10000U) != 0 && pattern != Pattern::zeros) {
      value = std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | (low & 0xFFFFU));
    }
  }
  return {input_buffer("x", values), values};
}

Input make_values(const KernelSpec& spec, Pattern pattern, std::int64_t rows, std::int64_t cols,
                  std::uint64_t seed) {
  if (spec.get("in") == "f32") {
    return make_floats(pattern, rows, cols, seed);
  }
  const auto type = spec.get("in") == "bf16" ? ElementType::bf16 : ElementType::f16;
  const auto x = make_input(pattern, type, rows, cols, seed);
  return {input_buffer("x", x), reference::to_floats(x, type)};
}

const float kUntouched = std::bit_cast<float>(0x01010101U * kPoison);

enum class Map { none, shuffled, empty };

// Half of the rows, one of them twice, among numbers that are no rows.
std::vector<std::int32_t> make_map(std::int64_t rows, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::int32_t> map;
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto row = static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(rows));
    map.push_back(i % 3 == 0 ? -1 - row : row);
  }
  map.push_back(static_cast<std::int32_t>(rows));
  map.push_back(0x7FFFFFFF);
  map.push_back(static_cast<std::int32_t>(-0x7FFFFFFF - 1));
  if (rows > 0) {
    map.push_back(0);
    map.push_back(0);
  }
  return map;
}

struct Shape {
  std::int64_t rows;
  std::int64_t cols;
};

OpCall row_call(const KernelSpec& spec, const Shape& shape, Pattern pattern, std::uint64_t seed,
                float scale, Map kind) {
  Input input = make_values(spec, pattern, shape.rows, shape.cols, seed);
  const bool mapped = kind != Map::none;
  const auto map = kind == Map::shuffled ? make_map(shape.rows, seed) : std::vector<std::int32_t>{};
  const auto expected =
      reference::row_amax({input.values, shape.rows, shape.cols, scale, mapped, map}, kUntouched);
  OpCall call{spec,
              std::to_string(shape.rows) + "x" + std::to_string(shape.cols) + " " +
                  to_string(pattern) + " times " + std::to_string(scale) + ", map " +
                  (mapped ? std::to_string(map.size()) : "none"),
              {std::move(input.buffer), output_buffer("amax", expected), input_buffer("map", map)},
              {},
              {}};
  const auto map_size = static_cast<std::int64_t>(map.size());
  call.args = [shape, scale, mapped, map_size](std::span<std::uint8_t* const> at) {
    RowAmaxArgs args;
    args.x = at[0];
    args.amax = reinterpret_cast<float*>(at[1]);
    args.row_map = mapped ? reinterpret_cast<const std::int32_t*>(at[2]) : nullptr;
    args.scale = scale;
    args.rows = shape.rows;
    args.cols = shape.cols;
    args.mapped_rows = map_size;
    return args_bytes(args);
  };
  return call;
}

OpCall tensor_call(const KernelSpec& spec, std::int64_t elements, Pattern pattern,
                   std::uint64_t seed) {
  const std::int64_t cols = elements % 4096 == 0 && elements > 0 ? 4096 : 16;
  Input input = make_values(spec, pattern, elements / cols, cols, seed);
  const float amax = reference::largest_magnitude(input.values);
  const float range = spec.get("range") == "448" ? 448.0F : 256.0F;
  // Zeros that a call leaves as zeros, so that the next one finds them.
  const std::vector<std::uint8_t> workspace(global_scale_workspace_bytes());
  OpCall call{
      spec,
      std::to_string(elements) + " " + to_string(pattern),
      {std::move(input.buffer), output_buffer("amax", std::vector<float>{amax}),
       output_buffer("global_scale", std::vector<float>{reference::encode_scale(amax, range)}),
       input_buffer("workspace", workspace)},
      {},
      {}};
  call.args = [elements](std::span<std::uint8_t* const> at) {
    GlobalScaleArgs args;
    args.x = at[0];
    args.amax = reinterpret_cast<float*>(at[1]);
    args.global_scale = reinterpret_cast<float*>(at[2]);
    args.workspace = reinterpret_cast<std::uint32_t*>(at[3]);
    args.elements = elements;
    return args_bytes(args);
  };
  return call;
}

// Rows shorter than a CTA's threads load at once and longer than they do in four rounds.
constexpr Shape kSmallRows[] = {{0, 64}, {1, 16}, {3, 80}, {17, 208}, {33, 48}, {2, 9232}};
constexpr Shape kLargeRows[] = {{1000, 7168}, {5, 262144}, {70001, 64}};
constexpr float kScales[] = {1.0F, 1.0F / 2688.0F, 0x1.8p-110F, 3e38F, 0.0F, 0x1p-130F, 7.25F};

constexpr std::int64_t kSmallTensors[] = {0, 16, 48, 4096, 32768, 100000};
constexpr std::int64_t kLargeTensors[] = {7340032, 16777216 + 16};

}  // namespace

void visit_row_amax_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  std::uint64_t seed = 900;
  const auto visit = [&](const Shape& shape, Pattern pattern) {
    const float scale = kScales[++seed % std::size(kScales)];
    const Map kind = seed % 2 == 0 ? Map::none : seed % 9 == 0 ? Map::empty : Map::shuffled;
    sink(row_call(spec, shape, pattern, seed, scale, kind));
  };
  if (size == CallSize::large) {
    for (const Shape& shape : kLargeRows) {
      visit(shape, Pattern::random);
    }
    return;
  }
  for (const Shape& shape : kSmallRows) {
    for (const Pattern pattern : all_patterns()) {
      visit(shape, pattern);
    }
  }
}

void visit_global_scale_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  std::uint64_t seed = 950;
  if (size == CallSize::large) {
    for (const std::int64_t elements : kLargeTensors) {
      sink(tensor_call(spec, elements, Pattern::random, ++seed));
    }
    return;
  }
  for (const std::int64_t elements : kSmallTensors) {
    for (const Pattern pattern : all_patterns()) {
      sink(tensor_call(spec, elements, pattern, ++seed));
    }
  }
}

}  // namespace fourge::tests
