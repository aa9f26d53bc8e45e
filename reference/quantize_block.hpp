// One block of a QuantizeProblem, with all that a comparison may ask about it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "reference/nvfp4_quantize.hpp"

namespace fourge::reference {

// By how many units in the last place the reciprocals of the global scale are off.
struct ReciprocalErrors {
  int of_given = 0;  // inverse forms: G = 1 / given
  int of_scale = 0;  // 1 / G
};

struct BlockPlace {
  std::int64_t batch;
  std::int64_t row;
  std::int64_t block;
};

struct QuantizedBlock {
  Nvfp4Block chosen;
  std::array<float, kNvfp4Block> elements{};  // what the multiplier multiplied
  bool has_other = false;                     // 4over6: the encoding that was not chosen
  Nvfp4Block other;
  float error_4 = 0;
  float error_6 = 0;
};

// 1 / value, off by some units in the last place. Zeros and infinities are never off.
float reciprocal(float value, int units) noexcept;

QuantizedBlock quantize_block(const QuantizeProblem& problem, const BlockPlace& place,
                              const ReciprocalErrors& errors) noexcept;

using BlockCodes = std::span<const std::uint8_t, kNvfp4Block / 2>;
BlockCodes codes_at(const std::vector<std::uint8_t>& codes, std::size_t offset);

// Whether fast mode may give this block, where make(errors) is what such reciprocals make; counts what
// it had to excuse. The rule is in nvfp4_quantize.hpp.
bool fast_block_is_right(const std::function<QuantizedBlock(const ReciprocalErrors&)>& make,
                         unsigned scale, BlockCodes codes, CompareReport& report);

// How many codes differ, and the difference in words.
std::uint64_t differing_codes(BlockCodes a, BlockCodes b);
std::string describe(const BlockPlace& place, unsigned want_scale, unsigned scale, BlockCodes want,
                     BlockCodes codes);

// Where the block's codes and its scale lie in the output.
std::size_t code_offset(const QuantizeProblem& problem, const BlockPlace& place) noexcept;
std::size_t scale_offset(const QuantizeProblem& problem, const ScaleMatrix& matrix,
                         const BlockPlace& place) noexcept;

// Throws std::invalid_argument, as quantize() says.
void check_problem(const QuantizeProblem& problem);

}  // namespace fourge::reference
