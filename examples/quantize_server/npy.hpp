// The head of a .npy file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace quantize_server {

struct NpyHead {
  std::string type;       // "<f2", "<u2"
  std::int64_t rows = 0;  // one for an array of one dimension
  std::int64_t cols = 0;
  std::size_t data_offset = 0;
};

bool is_npy(std::string_view file) noexcept;

// Throws BadRequest for what is no .npy file of one or two dimensions in C order.
NpyHead read_npy_head(std::string_view file);

}  // namespace quantize_server
