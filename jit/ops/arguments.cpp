#include "jit/ops/arguments.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>
#include <cmath>

namespace fourge::jit {
namespace {

[[noreturn]] void refuse(const KernelSpec& spec, const std::string& what) {
  throw Error(ErrorKind::invalid_argument, fmt::format("{}: {}", spec.text(), what));
}

}  // namespace

void refuse_pointer(const KernelSpec& spec, std::string_view name, const void* pointer,
                    std::size_t alignment) {
  if (pointer == nullptr) {
    refuse(spec, fmt::format("{} is a null pointer", name));
  }
  refuse(spec, fmt::format("{} is {}, which is not aligned to {} bytes", name, fmt::ptr(pointer),
                           alignment));
}

void refuse_count(const KernelSpec& spec, std::string_view name, std::int64_t value) {
  refuse(spec, fmt::format("{} is {}, which is negative", name, value));
}

void refuse_columns(const KernelSpec& spec, std::int64_t cols, std::int64_t multiple) {
  refuse(spec, fmt::format("cols is {}; it must be a positive multiple of {}, the block length",
                           cols, multiple));
}

void refuse_extent(const KernelSpec& spec, std::int64_t rows, std::int64_t cols) {
  refuse(spec, fmt::format("{} rows of {} columns are more than 2^47 elements", rows, cols));
}

void refuse_batches(const KernelSpec& spec, std::int64_t batches, std::int64_t rows,
                    std::int64_t cols) {
  check_count(spec, "batches", batches);
  check_extent(spec, rows, cols);
  refuse(spec, fmt::format("{} batches of {} rows of {} columns are more than 2^47 elements",
                           batches, rows, cols));
}

void check_encode_scale(const KernelSpec& spec, std::string_view name, float value) {
  if (!(value > 0.0F) || std::isinf(value)) {
    refuse(spec,
           fmt::format("{} is {}; the encode scale must be positive and finite (usually 448 * "
                       "6 / amax)",
                       name, value));
  }
}

void check_global_scale(const KernelSpec& spec, float value) {
  check_encode_scale(spec, "global_scale_value", value);
}

void check_inverse_scale(const KernelSpec& spec, std::string_view name, float value,
                         std::string_view usual) {
  if (!(value >= 0x1p-126F && value <= 0x1p126F)) {
    refuse(spec, fmt::format("{} is {}; as the inverse of the encode scale it must lie between "
                             "2^-126 and 2^126 (usually {})",
                             name, value, usual));
  }
}

void check_inverse_global_scale(const KernelSpec& spec, float value) {
  check_inverse_scale(spec, "global_scale_value", value, "amax / (448 * 6)");
}

void check_decode_scale(const KernelSpec& spec, float value) {
  if (!(value >= 0.0F) || std::isinf(value)) {
    refuse(spec, fmt::format("global_scale_value is {}; the decode scale must be finite and not "
                             "negative (usually amax / (448 * 6))",
                             value));
  }
}

}  // namespace fourge::jit
