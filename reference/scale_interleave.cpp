#include "reference/scale_interleave.hpp"

#include <stdexcept>
#include <string>

namespace fourge::reference {
namespace {

std::size_t linear_bytes(const ScaleMatrix& matrix) {
  return static_cast<std::size_t>(matrix.rows()) * static_cast<std::size_t>(matrix.cols());
}

void check_size(std::size_t found, std::int64_t batches, std::size_t of_one) {
  if (batches < 0 || found != static_cast<std::size_t>(batches) * of_one) {
    throw std::invalid_argument(std::to_string(batches) + " matrices of " + std::to_string(of_one) +
                                " bytes are not " + std::to_string(found) + " bytes");
  }
}

// Calls visit(offset in the linear bytes, offset in the tiled bytes) for every scale.
template <class Visit>
void for_each_scale(const ScaleMatrix& matrix, std::int64_t batches, const Visit& visit) {
  std::size_t linear = 0;
  for (std::int64_t batch = 0; batch < batches; ++batch) {
    const std::size_t first = static_cast<std::size_t>(batch) * matrix.bytes();
    for (std::int64_t row = 0; row < matrix.rows(); ++row) {
      for (std::int64_t col = 0; col < matrix.cols(); ++col) {
        visit(linear++, first + matrix.offset(row, col));
      }
    }
  }
}

}  // namespace

std::vector<std::uint8_t> interleave_scales(const ScaleMatrix& matrix, std::int64_t batches,
                                            std::span<const std::uint8_t> linear) {
  check_size(linear.size(), batches, linear_bytes(matrix));
  std::vector<std::uint8_t> tiled(static_cast<std::size_t>(batches) * matrix.bytes());
  for_each_scale(matrix, batches,
                 [&](std::size_t from, std::size_t to) { tiled[to] = linear[from]; });
  return tiled;
}

std::vector<std::uint8_t> deinterleave_scales(const ScaleMatrix& matrix, std::int64_t batches,
                                              std::span<const std::uint8_t> tiled) {
  check_size(tiled.size(), batches, matrix.bytes());
  std::vector<std::uint8_t> linear(static_cast<std::size_t>(batches) * linear_bytes(matrix));
  for_each_scale(matrix, batches,
                 [&](std::size_t to, std::size_t from) { linear[to] = tiled[from]; });
  return linear;
}

}  // namespace fourge::reference
