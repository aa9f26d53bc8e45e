#include "reference/allreduce.hpp"

#include <cmath>

#include "reference/ftz.hpp"

namespace fourge::reference {
namespace {

std::uint16_t round_to(ElementType type, float value) {
  return std::isnan(value) ? std::uint16_t{0x7FFF} : from_float(type, value);
}

}  // namespace

std::vector<std::uint16_t> allreduce(ElementType type,
                                     std::span<const std::vector<std::uint16_t>> ranks,
                                     SumRounding rounding) {
  constexpr std::uint16_t kNegativeZero = 0x8000;
  std::vector<std::uint16_t> sums;
  for (std::size_t i = 0; i < ranks.front().size(); ++i) {
    float sum = 0;
    for (const auto& rank : ranks) {
      const std::uint16_t element = rank[i] == kNegativeZero ? std::uint16_t{0} : rank[i];
      sum = ftz::add(sum, to_float(type, element));
      if (rounding == SumRounding::after_each) {
        sum = to_float(type, round_to(type, sum));
      }
    }
    sums.push_back(round_to(type, sum));
  }
  return sums;
}

}  // namespace fourge::reference
