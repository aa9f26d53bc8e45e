// Checks that the argument structs of several ops share. Each throws Error(invalid_argument) that
// names the op's spec, the argument, what was found and what is needed.
#pragma once

#include <fourge/kernel_spec.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fourge::jit {

inline constexpr std::int64_t kMostElements = std::int64_t{1} << 47;

// The refusals, out of line: every launch goes through the checks, and none that is right through
// these.
[[noreturn]] void refuse_pointer(const KernelSpec& spec, std::string_view name, const void* pointer,
                                 std::size_t alignment);
[[noreturn]] void refuse_count(const KernelSpec& spec, std::string_view name, std::int64_t value);
[[noreturn]] void refuse_columns(const KernelSpec& spec, std::int64_t cols, std::int64_t multiple);
[[noreturn]] void refuse_extent(const KernelSpec& spec, std::int64_t rows, std::int64_t cols);
[[noreturn]] void refuse_batches(const KernelSpec& spec, std::int64_t batches, std::int64_t rows,
                                 std::int64_t cols);

// Whether a * b * c is neither negative nor more than kMostElements.
inline bool fits(std::int64_t a, std::int64_t b, std::int64_t c) {
  std::int64_t product = 0;
  return !__builtin_mul_overflow(a, b, &product) && !__builtin_mul_overflow(product, c, &product) &&
         product >= 0 && product <= kMostElements;
}

inline void check_pointer(const KernelSpec& spec, std::string_view name, const void* pointer,
                          std::size_t alignment) {
  if (pointer == nullptr || reinterpret_cast<std::uintptr_t>(pointer) % alignment != 0) {
    refuse_pointer(spec, name, pointer, alignment);
  }
}
// Not negative.
inline void check_count(const KernelSpec& spec, std::string_view name, std::int64_t value) {
  if (value < 0) refuse_count(spec, name, value);
}
inline void check_rows(const KernelSpec& spec, std::int64_t rows) {
  check_count(spec, "rows", rows);
}
// Positive, a multiple of the block length, and at most 2^47.
inline void check_columns(const KernelSpec& spec, std::int64_t cols, std::int64_t multiple) {
  if (cols <= 0 || cols % multiple != 0) refuse_columns(spec, cols, multiple);
  if (cols > kMostElements) refuse_extent(spec, 1, cols);  // twice as many must not overflow
}
// rows * cols must be addressable: at most 2^47 elements.
inline void check_extent(const KernelSpec& spec, std::int64_t rows, std::int64_t cols) {
  if (!fits(rows, cols, 1)) refuse_extent(spec, rows, cols);
}
// batches >= 0, and all their elements together at most 2^47. The other two are checked before.
inline void check_batches(const KernelSpec& spec, std::int64_t batches, std::int64_t rows,
                          std::int64_t cols) {
  if (batches < 0 || !fits(rows, cols, 1) || !fits(rows, cols, batches)) {
    refuse_batches(spec, batches, rows, cols);
  }
}
void check_global_scale(const KernelSpec& spec, float value);
// G, the encode scale, under another name: positive and finite.
void check_encode_scale(const KernelSpec& spec, std::string_view name, float value);
// 1/G: between 2^-126 and 2^126, so that its reciprocal is a positive, finite, normal number. usual
// says what it usually is.
void check_inverse_scale(const KernelSpec& spec, std::string_view name, float value,
                         std::string_view usual);
// The same for the argument global_scale_value.
void check_inverse_global_scale(const KernelSpec& spec, float value);
// A decode scale g: finite and not negative (0 is that of a tensor of zeros).
void check_decode_scale(const KernelSpec& spec, float value);

}  // namespace fourge::jit
