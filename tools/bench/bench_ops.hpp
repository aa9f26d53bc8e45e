// What `fourge bench` measures of each operation: which variants, and a call's arguments for a matrix
// shape. Buffers and their sizes come from the operation's own definition.
#pragma once

#include <fourge/kernel_spec.hpp>
#include <fourge/op_definition.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fourge::tools {

struct MatrixShape {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

// "1024x7168". Throws Error(invalid_argument).
MatrixShape parse_shape(const std::string& text);

struct BenchOp {
  std::string_view op;
  // Axes of the variants that are measured when none are named.
  std::vector<std::string> variants;
  // Sets counts and scalars of the zeroed argument struct. Pointers are set by the caller, except
  // those named in `unused`, which stay null.
  void (*fill)(const KernelSpec& spec, const MatrixShape& shape, void* args);
  std::vector<std::string_view> unused;
};

std::span<const BenchOp> bench_ops();
// Throws Error(invalid_argument) with the operations that can be measured.
const BenchOp& find_bench_op(std::string_view name);

// Random bytes that are meaningful for a buffer that the kernel reads: bell-shaped numbers for "x" in
// its element type, block scales near one, codes without NaN. Repeats; every buffer of the same kind
// begins alike.
std::vector<std::uint8_t> bench_content(const KernelSpec& spec, std::string_view buffer,
                                        std::size_t bytes);

}  // namespace fourge::tools
