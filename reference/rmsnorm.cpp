#include "reference/rmsnorm.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "reference/ftz.hpp"

namespace fourge::reference {
namespace {

constexpr std::size_t kGroup = 32;

std::uint16_t round_to(ElementType type, float value) {
  return std::isnan(value) ? std::uint16_t{0x7FFF} : from_float(type, value);
}

float butterfly(std::array<float, kGroup> a) {
  for (std::size_t d = kGroup / 2; d > 0; d /= 2) {
    std::array<float, kGroup> next{};
    for (std::size_t i = 0; i < kGroup; ++i) {
      next[i] = ftz::add(a[i], a[i ^ d]);
    }
    a = next;
  }
  return a[0];
}

}  // namespace

float sum_of_squares(std::span<const float> h) {
  constexpr std::size_t kBlock = 16;
  constexpr std::size_t kMostLanes = 512;
  const std::size_t blocks = (h.size() + kBlock - 1) / kBlock;
  const std::size_t lanes = std::min(kMostLanes, (blocks + kGroup - 1) / kGroup * kGroup);
  std::vector<float> sums(lanes);
  for (std::size_t i = 0; i < h.size(); ++i) {
    float& sum = sums[i / kBlock % lanes];
    const float v = ftz::flush(h[i]);
    sum = ftz::flush(std::fma(v, v, sum));
  }
  std::array<float, kGroup> columns{};
  for (std::size_t i = 0; i < lanes; ++i) {
    columns[i % kGroup] = ftz::add(columns[i % kGroup], sums[i]);
  }
  return butterfly(columns);
}

NormedRow rmsnorm_row(std::span<const std::uint16_t> x, std::span<const std::uint16_t> residual,
                      std::span<const std::uint16_t> weight, const Rmsnorm& norm) {
  NormedRow row;
  std::vector<float> h(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    h[i] = to_float(norm.type, x[i]);
    if (!residual.empty()) {
      h[i] = ftz::add(h[i], to_float(norm.type, residual[i]));
      row.sum_16.push_back(round_to(norm.type, h[i]));
      if (norm.rounded) {
        h[i] = to_float(norm.type, row.sum_16.back());
      }
    }
  }
  const float mean = ftz::mul(sum_of_squares(h), ftz::rcp(static_cast<float>(x.size())));
  const float inverse = ftz::rcp(ftz::flush(std::sqrt(ftz::add(mean, norm.eps))));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float w = to_float(norm.type, weight[i]);
    const float y = ftz::mul(ftz::mul(h[i], inverse), norm.weight_plus_one ? ftz::add(w, 1) : w);
    row.y_16.push_back(round_to(norm.type, y));
    row.y.push_back(norm.rounded ? to_float(norm.type, row.y_16.back()) : y);
  }
  return row;
}

}  // namespace fourge::reference
