#include "tests/ops/cases/scale_interleave_cases.hpp"

#include <fourge/scale_interleave.hpp>

#include "reference/scale_interleave.hpp"

#include <random>

namespace fourge::tests {
namespace {

struct Shape {
  std::int64_t batches;
  std::int64_t rows;
  std::int64_t columns;

  std::string text() const {
    return std::to_string(batches) + "x" + std::to_string(rows) + "x" + std::to_string(columns);
  }
};

std::vector<std::uint8_t> random_bytes(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::uint8_t> bytes(count);
  for (std::uint8_t& byte : bytes) {
    byte = static_cast<std::uint8_t>(random());
  }
  return bytes;
}

reference::ScaleMatrix matrix_of(const KernelSpec& spec, const Shape& shape) {
  return {reference::parse_scale_layout(spec.get("layout")), shape.rows, shape.columns};
}

OpCall interleave_call(const KernelSpec& spec, const Shape& shape, std::uint64_t seed) {
  const auto linear =
      random_bytes(static_cast<std::size_t>(shape.batches * shape.rows * shape.columns), seed);
  const auto tiled = reference::interleave_scales(matrix_of(spec, shape), shape.batches, linear);
  OpCall call{
      spec, shape.text(), {input_buffer("linear", linear), output_buffer("tiled", tiled)}, {}, {}};
  call.args = [shape](std::span<std::uint8_t* const> at) {
    return args_bytes(ScaleInterleaveArgs{at[0], at[1], shape.rows, shape.columns, shape.batches});
  };
  return call;
}

// Padding is random too: it must not matter.
OpCall deinterleave_call(const KernelSpec& spec, const Shape& shape, std::uint64_t seed) {
  const auto matrix = matrix_of(spec, shape);
  const auto tiled = random_bytes(static_cast<std::size_t>(shape.batches) * matrix.bytes(), seed);
  const auto linear = reference::deinterleave_scales(matrix, shape.batches, tiled);
  OpCall call{
      spec, shape.text(), {input_buffer("tiled", tiled), output_buffer("linear", linear)}, {}, {}};
  call.args = [shape](std::span<std::uint8_t* const> at) {
    return args_bytes(
        ScaleDeinterleaveArgs{at[0], at[1], shape.rows, shape.columns, shape.batches});
  };
  return call;
}

constexpr Shape kSmall[] = {{1, 0, 4},  {0, 5, 4},    {1, 1, 1},    {1, 128, 4},  {2, 129, 5},
                            {3, 7, 13}, {1, 120, 4},  {1, 300, 67}, {2, 33, 128}, {1, 256, 12},
                            {5, 8, 2},  {1, 1, 1003}, {2, 64, 260}};
// Beyond the grid's limits in y and z.
constexpr Shape kLarge[] = {{1, 16384, 1024}, {7, 1001, 448}, {70001, 8, 3}, {1, 600000, 5}};

using MakeCall = OpCall (*)(const KernelSpec&, const Shape&, std::uint64_t);

void visit(const KernelSpec& spec, CallSize size, const CallSink& sink, MakeCall make_call) {
  std::uint64_t seed = 70;
  const std::span<const Shape> shapes =
      size == CallSize::small ? std::span<const Shape>(kSmall) : std::span<const Shape>(kLarge);
  for (const Shape& shape : shapes) {
    sink(make_call(spec, shape, ++seed));
  }
}

}  // namespace

void visit_scale_interleave_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  visit(spec, size, sink, interleave_call);
}

void visit_scale_deinterleave_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  visit(spec, size, sink, deinterleave_call);
}

}  // namespace fourge::tests
