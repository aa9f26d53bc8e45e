// Block-FP8 quantization: E4M3 data, one binary32 scale for a block of 1 x 128 or 128 x 128 elements.
// Of the definitions in use: scale s = max(a, eps) / 448 by a true division (a: the block's maximum,
// NaN skipped), optionally rounded up to a power of two; data E4M3(x * (1 / s)), two roundings before
// the conversion. Arithmetic flushes subnormals (ftz.hpp).
//
// An infinity makes s infinite (2^127 as a power of two) and is multiplied by zero: it becomes NaN,
// the finite elements zero. NaN stays NaN.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "reference/formats.hpp"

namespace fourge::reference {

inline constexpr std::int64_t kFp8Block = 128;

enum class Fp8Scale { f32, pow2 };
enum class Fp8Storage { row_major, transposed };

// The scale of a block with this maximum. eps: at least 2^-117, so that no scale is subnormal.
float fp8_block_scale(float maximum, float eps, Fp8Scale kind) noexcept;

struct Fp8Problem {
  std::span<const std::uint16_t> x;  // rows * cols elements, row-major
  ElementType type = ElementType::bf16;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t block_rows = 1;  // 1 or 128
  Fp8Scale scale = Fp8Scale::f32;
  Fp8Storage storage = Fp8Storage::row_major;
  float eps = 1e-4F;
};

struct Fp8Output {
  std::vector<std::uint8_t> data;  // rows * cols
  // Blocks row by row; transposed: column by column, each padded with zeros to a multiple of 4.
  std::vector<float> scales;
};

// Rows of blocks are shared out over the threads; the result does not depend on their number. Throws
// std::invalid_argument for a negative number of rows, no columns, other block_rows, or if x has
// another size.
Fp8Output quantize_fp8_blocks(const Fp8Problem& problem, unsigned threads = 1);

}  // namespace fourge::reference
