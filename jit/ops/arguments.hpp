// Checks that the argument structs of several ops share. Each throws Error(invalid_argument) that
// names the op's spec, the argument, what was found and what is needed.
#pragma once

#include <fourge/kernel_spec.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fourge::jit {

void check_pointer(const KernelSpec& spec, std::string_view name, const void* pointer,
                   std::size_t alignment);
// Not negative.
void check_count(const KernelSpec& spec, std::string_view name, std::int64_t value);
void check_rows(const KernelSpec& spec, std::int64_t rows);
// Positive, and a multiple of the block length.
void check_columns(const KernelSpec& spec, std::int64_t cols, std::int64_t multiple);
// rows * cols must be addressable: at most 2^47 elements.
void check_extent(const KernelSpec& spec, std::int64_t rows, std::int64_t cols);
// batches >= 0, and all their elements together at most 2^47. The other two are checked before.
void check_batches(const KernelSpec& spec, std::int64_t batches, std::int64_t rows,
                   std::int64_t cols);
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
