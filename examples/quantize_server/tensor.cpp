#include "examples/quantize_server/tensor.hpp"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "examples/quantize_server/npy.hpp"

namespace quantize_server {
namespace {

// The largest E4M3 number times the largest E2M1 number.
constexpr float kEncodeRange = 448.0F * 6.0F;

Dtype read_dtype(const std::string& text) {
  for (const Dtype dtype : kDtypes) {
    if (text == to_string(dtype)) return dtype;
  }
  throw BadRequest("dtype is \"" + text + "\"; bf16 and f16 are taken");
}

Layout read_layout(const std::string& text) {
  for (const Layout layout : kLayouts) {
    if (text == to_string(layout)) return layout;
  }
  throw BadRequest("layout is \"" + text + "\"; linear, 128x4 and 8x4 are taken");
}

std::int64_t read_length(const std::string& shape, std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) {
    throw BadRequest("shape is \"" + shape + "\"; it is written ROWSxCOLS, such as 128x4096");
  }
  return value;
}

void read_shape(const std::string& text, Tensor& tensor) {
  const std::size_t x = text.find('x');
  tensor.rows = read_length(text, std::string_view(text).substr(0, x));
  tensor.cols = read_length(
      text, x == std::string::npos ? std::string_view() : std::string_view(text).substr(x + 1));
}

float read_scale(const std::string& text) {
  float value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value > 0) ||
      !std::isfinite(value)) {
    throw BadRequest("global_scale is \"" + text + "\"; it must be a positive, finite number");
  }
  return value;
}

void read_npy(const Parameters& parameters, Tensor& tensor) {
  const NpyHead head = read_npy_head(tensor.file);
  if (head.type != "<f2" && head.type != "<u2") {
    throw BadRequest("the .npy elements are " + head.type +
                     "; float16 (<f2) is taken, and bf16 as uint16 (<u2)");
  }
  tensor.dtype = head.type == "<f2" ? Dtype::f16 : Dtype::bf16;
  if (const auto dtype = parameters("dtype"); dtype && read_dtype(*dtype) != tensor.dtype) {
    throw BadRequest("dtype is " + *dtype + ", but the .npy elements are " + head.type);
  }
  if (parameters("shape")) throw BadRequest("a .npy file says its shape: leave shape out");
  tensor.rows = head.rows;
  tensor.cols = head.cols;
  tensor.offset = head.data_offset;
}

void read_raw(const Parameters& parameters, Tensor& tensor) {
  const auto dtype = parameters("dtype");
  if (!dtype) throw BadRequest("dtype is missing: bf16 or f16");
  tensor.dtype = read_dtype(*dtype);
  const auto shape = parameters("shape");
  if (!shape) throw BadRequest("shape is missing: ROWSxCOLS, such as 128x4096");
  read_shape(*shape, tensor);
}

void check_size(const Tensor& tensor) {
  if (tensor.rows < 1 || tensor.cols < 1 || tensor.cols % 16 != 0) {
    throw BadRequest("the shape is " + std::to_string(tensor.rows) + "x" +
                     std::to_string(tensor.cols) +
                     "; there must be a row, and columns in multiples of 16");
  }
  // Without a product that could overflow.
  const auto elements = static_cast<std::int64_t>(tensor.bytes() / 2);
  if (tensor.bytes() % 2 != 0 || elements % tensor.cols != 0 ||
      elements / tensor.cols != tensor.rows) {
    throw BadRequest("the body has " + std::to_string(tensor.bytes()) + " bytes; " +
                     std::to_string(tensor.rows) + "x" + std::to_string(tensor.cols) +
                     " elements of 2 bytes were expected");
  }
}

// The largest bits without the sign that are no NaN. Magnitudes of both types order like their bits.
std::uint16_t largest_bits(const Tensor& tensor, std::uint16_t infinity) {
  std::uint16_t largest = 0;
  for (std::size_t at = 0; at < tensor.bytes(); at += 2) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, tensor.data() + at, 2);
    bits &= 0x7FFFU;
    if (bits > largest && bits <= infinity) largest = bits;
  }
  return largest;
}

float magnitude_of(Dtype dtype, std::uint16_t bits) {
  if (dtype == Dtype::bf16) return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
  const int exponent = bits >> 10U;
  const auto fraction = static_cast<float>(bits & 0x3FFU);
  return exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, exponent - 25);
}

}  // namespace

const char* to_string(Dtype dtype) noexcept { return dtype == Dtype::bf16 ? "bf16" : "f16"; }

const char* to_string(Layout layout) noexcept {
  switch (layout) {
    case Layout::linear:
      return "linear";
    case Layout::tiles_128x4:
      return "128x4";
    case Layout::tiles_8x4:
      return "8x4";
  }
  return "";
}

float scale_for(const Tensor& tensor) {
  const std::uint16_t infinity = tensor.dtype == Dtype::bf16 ? 0x7F80 : 0x7C00;
  const std::uint16_t largest = largest_bits(tensor, infinity);
  if (largest == infinity) {
    throw BadRequest("the tensor has an infinity, so no scale follows from it: give global_scale");
  }
  if (largest == 0) return 1;
  const float scale = kEncodeRange / magnitude_of(tensor.dtype, largest);
  return std::isfinite(scale) ? scale : std::numeric_limits<float>::max();
}

Tensor read_tensor(const Parameters& parameters, std::string body) {
  Tensor tensor;
  tensor.file = std::move(body);
  if (is_npy(tensor.file)) {
    read_npy(parameters, tensor);
  } else {
    read_raw(parameters, tensor);
  }
  check_size(tensor);
  if (const auto layout = parameters("layout")) tensor.layout = read_layout(*layout);
  const auto scale = parameters("global_scale");
  tensor.global_scale = scale ? read_scale(*scale) : scale_for(tensor);
  return tensor;
}

}  // namespace quantize_server
