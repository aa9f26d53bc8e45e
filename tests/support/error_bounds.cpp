#include "tests/support/error_bounds.hpp"

#include <algorithm>
#include <cmath>
#include <random>

namespace fourge::tests {
namespace {

using reference::BlockFormat;
using reference::FloatType;

// All in double, with room for the roundings of the quantizer's and dequantizer's few operations.
constexpr double kSlack = 1.0 + 0x1p-20;
// Below this, products are flushed.
constexpr double kLeastNormal = 0x1p-126;

// Half the distance of the neighbouring E2M1 values at |y|; what is above 6 is cut off.
double e2m1_error(double y) { return y <= 2 ? 0.25 : y <= 4 ? 0.5 : y <= 6 ? 1.0 : y - 6; }

double e4m3_error(double y) {
  const int exponent = y == 0 ? -6 : std::clamp(std::ilogb(y), -6, 8);
  return std::max(std::ldexp(1.0, exponent - 4), y - 448);
}

double output_error(FloatType out, double value) {
  switch (out) {
    case FloatType::f32:
      return 0;
    case FloatType::bf16:
      return std::fabs(value) * 0x1p-8;
    case FloatType::f16:
      return std::max(std::fabs(value) * 0x1p-11, 0x1p-25);
  }
  return 0;
}

struct Place {
  std::int64_t batch;
  std::int64_t row;
  std::int64_t block;

  std::string text() const {
    return "batch " + std::to_string(batch) + ", row " + std::to_string(row) + ", block " +
           std::to_string(block);
  }
};

// What a block scale stands for, in units of x; and whether it is what the maximum asks for.
struct BlockScale {
  double step;  // the value of code 1.0
  bool right;
};

BlockScale nvfp4_scale(const RoundTrip& trip, const Place& place, std::uint8_t byte, double amax) {
  const std::size_t row = trip.encode_scales.size() == 1 ? 0 : static_cast<std::size_t>(place.row);
  const double g = trip.encode_scales[row];
  const double found = reference::decode_e4m3(byte);
  const auto fits = [&](double asked) {
    const double wanted = std::min(asked, 448.0);
    return std::fabs(found - wanted) <= std::max(wanted * 0x1p-4, 0x1p-10) * kSlack;
  };
  const double six = amax * g / 6;
  const bool in_range = six <= 448 * kSlack;
  return {found / g, in_range && (fits(six) || (trip.four_over_six && fits(six * 1.5)))};
}

BlockScale mx_scale(BlockFormat format, std::uint8_t byte, double amax) {
  const double asked = amax / (format == BlockFormat::mxfp4 ? 6 : 448);
  const double found = std::ldexp(1.0, byte - 127);
  if (byte == 0) {
    return {0, asked <= kLeastNormal * kSlack};
  }
  return {found, asked <= found * kSlack && found < 2 * asked * kSlack};
}

std::string check_block(const RoundTrip& trip, const Place& place, std::uint8_t byte,
                        std::size_t first) {
  const auto length = static_cast<std::size_t>(reference::block_length(trip.format));
  double amax = 0;
  for (const float x : trip.x.subspan(first, length)) {
    amax = std::max(amax, std::fabs(static_cast<double>(x)));
  }
  const BlockScale scale = trip.format == BlockFormat::nvfp4 ? nvfp4_scale(trip, place, byte, amax)
                                                             : mx_scale(trip.format, byte, amax);
  if (!scale.right) {
    return place.text() + ": scale byte " + std::to_string(byte) + " for the maximum " +
           std::to_string(amax);
  }
  for (std::size_t i = first; i < first + length; ++i) {
    const double x = trip.x[i];
    const double y = scale.step == 0 ? 0 : std::fabs(x) / scale.step;
    const double of_code =
        scale.step == 0
            ? amax
            : scale.step * (trip.format == BlockFormat::mxfp8 ? e4m3_error(y) : e2m1_error(y));
    const double bound = of_code * kSlack + std::fabs(x) * 0x1p-20 +
                         output_error(trip.out, trip.restored[i]) + 6 * kLeastNormal;
    if (!(std::fabs(x - static_cast<double>(trip.restored[i])) <= bound)) {
      return place.text() + ", element " + std::to_string(i - first) + ": " + std::to_string(x) +
             " became " + std::to_string(trip.restored[i]) + ", which may be off by " +
             std::to_string(bound);
    }
  }
  return {};
}

}  // namespace

std::string find_violation(const RoundTrip& trip) {
  const std::int64_t length = reference::block_length(trip.format);
  const reference::ScaleMatrix matrix(trip.layout, trip.rows, trip.padded_cols / length);
  std::size_t first = 0;
  for (Place place{0, 0, 0}; place.batch < trip.batches; ++place.batch) {
    const std::size_t scales = static_cast<std::size_t>(place.batch) * matrix.bytes();
    for (place.row = 0; place.row < trip.rows; ++place.row) {
      for (place.block = 0; place.block < trip.cols / length; ++place.block) {
        const std::uint8_t byte = trip.scales[scales + matrix.offset(place.row, place.block)];
        if (auto violation = check_block(trip, place, byte, first); !violation.empty()) {
          return violation;
        }
        first += static_cast<std::size_t>(length);
      }
    }
  }
  return {};
}

std::vector<std::uint16_t> make_scaled_input(reference::ElementType type, std::int64_t rows,
                                             std::int64_t cols, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  // The standard distributions differ between libraries: a sum of uniform numbers is near enough.
  const auto normal = [&random] {
    double sum = -6;
    for (int i = 0; i < 12; ++i) {
      sum += static_cast<double>(random() >> 11) * 0x1p-53;
    }
    return sum == 0 ? 1.0 : sum;
  };
  const auto between = [&random](int low, int high) {
    return low + static_cast<int>(random() % static_cast<std::uint64_t>(high - low + 1));
  };
  const bool wide = type == reference::ElementType::bf16;
  const double least = wide ? 0x1p-126 : 0x1p-14;
  const int of_tensor = wide ? between(-70, 80) : between(-3, 4);
  std::vector<std::uint16_t> x;
  for (std::int64_t row = 0; row < rows; ++row) {
    const int of_row = of_tensor + (wide ? between(-8, 8) : between(-2, 2));
    int exponent = of_row;
    for (std::int64_t col = 0; col < cols; ++col) {
      if (col % 8 == 0) {
        exponent = of_row - (random() % 4 == 0 ? between(0, wide ? 24 : 4) : 0);
      }
      double value = std::ldexp(normal(), exponent);
      value = std::fabs(value) < least ? least : value;
      x.push_back(reference::from_float(type, static_cast<float>(value)));
    }
  }
  return x;
}

}  // namespace fourge::tests
