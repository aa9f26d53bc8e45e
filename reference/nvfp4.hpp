// NVFP4 quantization with one global scale for the tensor: blocks of 16 elements along a row, E2M1
// codes, one E4M3 scale for each block.
//
// Decisions where implementations in the field differ:
//  - Arithmetic flushes subnormals (ftz.hpp); so does the test whether a block is zero.
//  - The block maximum starts at 0 and skips NaN. A block of NaN has scale 0x00 and codes 7.
//  - Exact mode: a nonzero block whose scale rounds to zero is multiplied by the largest float.
//  - Fast mode: such a block is multiplied by zero, so its codes are 0 and 8.
//  - Fast mode uses correctly rounded reciprocals here. A device's approximate reciprocal may
//  differ by
//    a unit in the last place: compare.hpp allows for that.
//  - -0 gives code 8.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "reference/formats.hpp"
#include "reference/scale_layout.hpp"

namespace fourge::reference {

enum class MathMode { exact, fast };

inline constexpr std::int64_t kNvfp4Block = 16;

// The largest magnitude of the elements that are not NaN; 0 if there are none.
float magnitude_maximum(std::span<const std::uint16_t> x, ElementType type) noexcept;

struct Nvfp4Block {
  std::uint8_t scale = 0;               // E4M3
  std::array<std::uint8_t, 8> codes{};  // element 2i in the low nibble of byte i
  float multiplier = 0;                 // what each element was multiplied by before encoding
};

Nvfp4Block quantize_nvfp4_block(std::span<const std::uint16_t, kNvfp4Block> x, ElementType type,
                                float global_scale, MathMode math) noexcept;

struct Nvfp4Problem {
  std::span<const std::uint16_t> x;  // rows * cols elements, row-major
  ElementType type = ElementType::bf16;
  std::int64_t rows = 0;
  std::int64_t cols = 0;  // positive and a multiple of 16
  float global_scale = 1.0F;
  MathMode math = MathMode::exact;
  ScaleLayout layout = ScaleLayout::linear;

  ScaleMatrix scale_matrix() const { return {layout, rows, cols / kNvfp4Block}; }
};

struct Nvfp4Output {
  std::vector<std::uint8_t> codes;   // rows * cols / 2
  std::vector<std::uint8_t> scales;  // in the problem's layout, padding zero
};

// Rows are shared out over the threads; the result does not depend on their number. Throws
// std::invalid_argument if the shape is not as above or x has another size.
Nvfp4Output quantize_nvfp4(const Nvfp4Problem& problem, unsigned threads = 1);

// Throws std::invalid_argument if rows, cols and the size of x do not fit together.
void check_shape(const Nvfp4Problem& problem);

// The parts of a quantization that its variants have in common. make_output() checks the shape and
// returns buffers of zeros; row and block must lie inside the problem.
std::array<std::uint8_t, 8> encode_elements(std::span<const std::uint16_t, kNvfp4Block> x,
                                            ElementType type, float multiplier) noexcept;
Nvfp4Output make_output(const Nvfp4Problem& problem);
std::span<const std::uint16_t, kNvfp4Block> block_of(const Nvfp4Problem& problem, std::int64_t row,
                                                     std::int64_t block);
void store_block(const Nvfp4Problem& problem, std::int64_t row, std::int64_t block,
                 const Nvfp4Block& result, Nvfp4Output& output);

}  // namespace fourge::reference
