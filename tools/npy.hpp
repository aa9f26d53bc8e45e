// NumPy's .npy files, versions 1.0 to 3.0, as far as the command line needs them: dense arrays in C
// order of little-endian numbers. Anything else is refused by name. Input is not trusted.
//
//   "\x93NUMPY" major minor  length of the header (2 bytes in version 1, else 4, little-endian)
//   header: {'descr': '<u2', 'fortran_order': False, 'shape': (17, 208), }   padded with spaces,
//   '\n' the elements
#pragma once

#include "tools/aligned_bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fourge::tools {

struct NpyHeader {
  std::string dtype;  // "<u2", "<f2", "|u1"
  std::vector<std::int64_t> shape;
  std::size_t item_bytes = 0;
  std::size_t data_offset = 0;
  std::size_t data_bytes = 0;  // the product of shape and item_bytes
};

struct NpyArray {
  NpyHeader header;
  AlignedBytes data;
};

// Headers longer than this are refused; NumPy itself writes some 100 bytes.
inline constexpr std::size_t kMostNpyHeaderBytes = 1U << 20U;

// From the first bytes of a file. Throws Error(invalid_argument) that begins with name and says
// what is wrong.
NpyHeader parse_npy_header(std::span<const std::byte> start, std::string_view name);

// Throws Error(invalid_argument) if the file cannot be read, is no such array, or is shorter or
// longer than its header says.
NpyArray read_npy(const std::string& path);

// The bytes that precede the data in a version 1.0 file.
std::string npy_header_bytes(std::string_view dtype, std::span<const std::int64_t> shape);

// "(17, 208)", as Python writes it.
std::string shape_text(std::span<const std::int64_t> shape);

}  // namespace fourge::tools
