// fourge run for the operations that have no file formats of their own: random inputs of a shape, by
// what the operation's definition says of its parameters and buffers.
#pragma once

#include <fourge/kernel_spec.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/aligned_bytes.hpp"
#include "tools/common_options.hpp"
#include "tools/execution.hpp"
#include "tools/exit_code.hpp"

namespace fourge::tools {

struct AnyBuffer {
  std::string name;
  bool written = false;
  AlignedBytes bytes;
};

// Arguments whose pointers lead into the buffers.
struct AnyCall {
  std::vector<std::byte> args;
  std::vector<AnyBuffer> buffers;
};

// Parameters by name: rows, cols, padded_cols (cols), elements (rows * cols), columns (cols), batches
// and experts (1); scales and factors as their structs have them by default, optional pointers null.
// x holds numbers about normal, other floats 1, bytes what they happen to be, integers 0; outputs hold
// 0xA5. Throws Error(invalid_argument) for a shape the operation forbids, or for a variant that needs
// more than this (a row map, rows of experts), by name.
AnyCall make_any_call(const KernelSpec& spec, std::int64_t rows, std::int64_t cols,
                      std::uint64_t seed);

struct AnyRun {
  KernelSpec spec;
  Place place;
  std::int64_t rows;
  std::int64_t cols;
  std::uint64_t seed;
  int repeat;
};

// Runs and reports: time, and of each output its size and a digest by which two runs can be compared.
ExitCode run_any(const AnyRun& run, const CommonOptions& common);

}  // namespace fourge::tools
