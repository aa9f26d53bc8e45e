#include "examples/quantize_server/npy.hpp"

#include <charconv>
#include <vector>

#include "examples/quantize_server/tensor.hpp"

namespace quantize_server {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

std::size_t little_endian(std::string_view bytes) {
  std::size_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = value << 8U | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

// What follows 'key': in the head's Python dictionary.
std::string_view value_of(std::string_view head, std::string_view key) {
  const std::string quoted = "'" + std::string(key) + "':";
  const std::size_t at = head.find(quoted);
  if (at == std::string_view::npos) {
    throw BadRequest("the .npy head has no " + std::string(key));
  }
  head.remove_prefix(at + quoted.size());
  const std::size_t begin = head.find_first_not_of(' ');
  return begin == std::string_view::npos ? std::string_view() : head.substr(begin);
}

std::vector<std::int64_t> shape_of(std::string_view text) {
  const std::size_t end = text.find(')');
  if (text.empty() || text.front() != '(' || end == std::string_view::npos) {
    throw BadRequest("the .npy head has no shape");
  }
  std::string_view rest = text.substr(1, end - 1);
  std::vector<std::int64_t> shape;
  while (!rest.empty()) {
    std::int64_t length = 0;
    const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), length);
    if (error != std::errc() || length < 0) throw BadRequest("the .npy head has a bad shape");
    shape.push_back(length);
    rest.remove_prefix(static_cast<std::size_t>(stop - rest.data()));
    const std::size_t next = rest.find_first_not_of(", ");
    rest = next == std::string_view::npos ? std::string_view() : rest.substr(next);
  }
  return shape;
}

}  // namespace

bool is_npy(std::string_view file) noexcept { return file.substr(0, kMagic.size()) == kMagic; }

NpyHead read_npy_head(std::string_view file) {
  if (!is_npy(file) || file.size() < 12) throw BadRequest("this is no .npy file");
  const auto version = static_cast<unsigned char>(file[6]);
  if (version < 1 || version > 3) throw BadRequest(".npy files of versions 1 to 3 are read");
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  const std::size_t length = little_endian(file.substr(8, length_bytes));
  NpyHead head;
  head.data_offset = 8 + length_bytes + length;
  if (head.data_offset > file.size()) throw BadRequest("the .npy file ends within its head");
  const std::string_view text = file.substr(8 + length_bytes, length);
  const std::string_view type = value_of(text, "descr");
  if (type.size() < 2 || type.front() != '\'') throw BadRequest("the .npy head has no plain type");
  head.type = std::string(type.substr(1, type.find('\'', 1) - 1));
  if (value_of(text, "fortran_order").substr(0, 5) != "False") {
    throw BadRequest("the .npy array is in Fortran order; C order is needed");
  }
  const std::vector<std::int64_t> shape = shape_of(value_of(text, "shape"));
  if (shape.empty() || shape.size() > 2) {
    throw BadRequest("the .npy array has " + std::to_string(shape.size()) +
                     " dimensions; one or two are taken");
  }
  head.rows = shape.size() == 2 ? shape[0] : 1;
  head.cols = shape.back();
  return head;
}

}  // namespace quantize_server
