// Block-FP8 quantization: E4M3 data with one FP32 scale for 128 elements of a row (1x128, activations)
// or for a tile of 128 rows and 128 columns (128x128, weights). Definition (docs/numerics.md; others
// are in use elsewhere): with a the largest magnitude of a block,
//   s = max(a, eps) / 448, rounded to nearest; with scale=pow2, s rounded up to a power of two
//   q = E4M3(x * (1/s)), the reciprocal and the product rounded to nearest each
// Nothing is approximate: the same bits on every target. x is approximately q * s.
//
//   x            [rows, cols] bf16 or f16, row-major and dense, device memory, 32-byte aligned
//   data         [rows, cols] bytes of E4M3, 16-byte aligned
//   scales       floats, 16-byte aligned, all written:
//                1x128, storage=row_major   [rows][ceil(cols / 128)]
//                1x128, storage=transposed  [ceil(cols / 128)][rows rounded up to 4], padding 0
//                128x128                    [ceil(rows / 128)][ceil(cols / 128)]
//   eps          the least magnitude that a scale is made for: at least 2^-117, so that no scale is
//                subnormal, and finite
//   rows >= 0; cols > 0 and a multiple of 16. The last block of a row and the tiles at the lower edge
//   may be partial.
//
// NaN has no part in the maximum and becomes NaN (0x7F). An infinity makes the scale infinite (2^127
// with scale=pow2), itself NaN (0x7F), and the finite elements of its block zero.
//
// Calls are asynchronous on the caller's stream; the buffers must stay valid until the kernel is done.
// x must not overlap the outputs.
// Streams, threads and errors: <fourge/kernel.hpp>.
#pragma once

#include <fourge/export.hpp>
#include <fourge/op_definition.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fourge {

struct Fp8Quantize1x128Args {
  static constexpr std::string_view kOp = "fp8_quantize_1x128";

  const void* x = nullptr;
  std::uint8_t* data = nullptr;
  float* scales = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  float eps = 1e-4F;
};

struct Fp8Quantize128x128Args {
  static constexpr std::string_view kOp = "fp8_quantize_128x128";

  const void* x = nullptr;
  std::uint8_t* data = nullptr;
  float* scales = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  float eps = 1e-4F;
};

// Floats in the scale buffer. storage: "row_major" or "transposed", as in a spec.
FOURGE_API std::size_t fp8_scale_count_1x128(std::string_view storage, std::int64_t rows,
                                             std::int64_t cols);
FOURGE_API std::size_t fp8_scale_count_128x128(std::int64_t rows, std::int64_t cols);

// The definitions behind the spec texts "fp8_quantize_1x128[...]" and "fp8_quantize_128x128[...]".
FOURGE_API const OpDefinition& fp8_quantize_1x128_op();
FOURGE_API const OpDefinition& fp8_quantize_128x128_op();

}  // namespace fourge
