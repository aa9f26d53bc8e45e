#include "reference/allreduce.hpp"

#include "tests/support/catch.hpp"

namespace fourge::reference {
namespace {

using Ranks = std::vector<std::vector<std::uint16_t>>;

std::uint16_t sum(const Ranks& ranks, SumRounding rounding, ElementType type = ElementType::bf16) {
  return allreduce(type, ranks, rounding).at(0);
}

}  // namespace

TEST_CASE("all-reduce: zeros of both signs give +0", "[allreduce]") {
  for (const SumRounding rounding : {SumRounding::at_end, SumRounding::after_each}) {
    CHECK(sum({{0x8000}}, rounding) == 0);
    CHECK(sum({{0x8000}, {0x8000}}, rounding) == 0);
    CHECK(sum({{0x3F80}, {0xBF80}}, rounding) == 0);
    CHECK(sum({{0x8001}, {0x8001}}, rounding) == 0);  // subnormals are flushed
  }
}

TEST_CASE("all-reduce: the order of ranks and the place of rounding count", "[allreduce]") {
  // 1 + 2^-8 + 2^-8 in bfloat16, which has 8 bits: each addition of 2^-8 by itself is a tie that goes
  // back to 1.
  const Ranks up = {{0x3F80}, {0x3B80}, {0x3B80}};
  CHECK(sum(up, SumRounding::at_end) == 0x3F81);
  CHECK(sum(up, SumRounding::after_each) == 0x3F80);
  const Ranks down = {{0x3B80}, {0x3B80}, {0x3F80}};
  CHECK(sum(down, SumRounding::after_each) == 0x3F81);
  // Binary32 has an order, too: 2^30 + 1 - 2^30.
  CHECK(sum({{0x4E80}, {0x3F80}, {0xCE80}}, SumRounding::at_end) == 0);
  CHECK(sum({{0x4E80}, {0xCE80}, {0x3F80}}, SumRounding::at_end) == 0x3F80);
}

TEST_CASE("all-reduce: NaN and infinities", "[allreduce]") {
  CHECK(sum({{0x7F80}, {0x3F80}}, SumRounding::at_end) == 0x7F80);
  CHECK(sum({{0x7F80}, {0xFF80}}, SumRounding::at_end) == 0x7FFF);
  CHECK(sum({{0xFFC1}, {0x3F80}}, SumRounding::after_each) == 0x7FFF);
  // 65504 + 65504 overflows in f16 only where it is rounded.
  const Ranks large = {{0x7BFF}, {0x7BFF}, {0xFBFF}};
  CHECK(sum(large, SumRounding::at_end, ElementType::f16) == 0x7BFF);
  CHECK(sum(large, SumRounding::after_each, ElementType::f16) == 0x7C00);
}

}  // namespace fourge::reference
