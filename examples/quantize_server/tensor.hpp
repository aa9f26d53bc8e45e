// What is asked of the server and what it answers, without HTTP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace quantize_server {

enum class Dtype { bf16, f16 };
enum class Layout { linear, tiles_128x4, tiles_8x4 };
inline constexpr Dtype kDtypes[] = {Dtype::bf16, Dtype::f16};
inline constexpr Layout kLayouts[] = {Layout::linear, Layout::tiles_128x4, Layout::tiles_8x4};

// As in a spec of fourge: "bf16", "128x4".
const char* to_string(Dtype dtype) noexcept;
const char* to_string(Layout layout) noexcept;

struct Tensor {
  Dtype dtype = Dtype::bf16;
  Layout layout = Layout::tiles_128x4;  // of the block scales that are wanted
  std::int64_t rows = 0;
  std::int64_t cols = 0;   // a positive multiple of 16
  float global_scale = 1;  // positive and finite
  std::string file;        // holds the elements, row-major, 2 bytes each,
  std::size_t offset = 0;  // from here to its end
  const char* data() const noexcept { return file.data() + offset; }
  std::size_t bytes() const noexcept { return file.size() - offset; }
};

struct QuantizedTensor {
  std::string codes;   // rows * cols / 2 bytes
  std::string scales;  // in the layout that was asked for
};

// The client's mistake. what() is the answer's text.
class BadRequest : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A parameter of the request by name, nothing if it is not given.
using Parameters = std::function<std::optional<std::string>(const std::string&)>;

// Reads
//   dtype         bf16 or f16
//   shape         ROWSxCOLS
//   layout        linear, 128x4 (default) or 8x4
//   global_scale  the encode scale; left out: 448 * 6 / the largest magnitude in the tensor
// and the elements: little-endian bytes, or a .npy file, which says its shape, and its dtype unless its
// elements are unsigned 16-bit numbers (bf16). Throws BadRequest that says what is wrong.
Tensor read_tensor(const Parameters& parameters, std::string body);

// The encode scale for a tensor by its largest magnitude; NaN is passed over. Throws BadRequest if there
// is an infinity.
float scale_for(const Tensor& tensor);

}  // namespace quantize_server
