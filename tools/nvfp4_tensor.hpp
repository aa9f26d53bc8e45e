// The input and the outputs of nvfp4_quantize as the command line handles them, in host memory.
#pragma once

#include <fourge/kernel_spec.hpp>
#include <fourge/nvfp4_quantize.hpp>

#include <cstdint>
#include <string>

#include "reference/compare.hpp"
#include "tools/aligned_bytes.hpp"

namespace fourge::tools {

struct Nvfp4Input {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  AlignedBytes x;  // 16-bit elements, row-major
};

// From a .npy file of shape (rows, cols): uint16 holding the type's bits, or float16 for f16.
// Throws Error(invalid_argument) that says what the file holds instead.
Nvfp4Input read_nvfp4_input(const std::string& path, reference::ElementType type);

// Roughly normal, standard deviation 1. The same arguments give the same bits on every machine.
Nvfp4Input random_nvfp4_input(std::int64_t rows, std::int64_t cols, reference::ElementType type,
                              std::uint64_t seed);

// The usual encode scale: 448 * 6 / amax, each step rounded, at most the largest float; 1 where an
// infinity makes it zero.
float usual_global_scale(const Nvfp4Input& input, reference::ElementType type, float& amax);

struct Nvfp4Result {
  AlignedBytes codes;
  AlignedBytes scales;
};

// Outputs of the right sizes, filled with a pattern that shows what a kernel leaves out.
Nvfp4Result make_nvfp4_result(const KernelSpec& spec, std::int64_t rows, std::int64_t cols);

Nvfp4QuantizeArgs nvfp4_args(const Nvfp4Input& input, Nvfp4Result& result, float global_scale);

// Throws as the op does for a shape or a scale that it forbids, before memory is taken for it.
void check_nvfp4_call(const KernelSpec& spec, std::int64_t rows, std::int64_t cols,
                      float global_scale);

reference::CompareReport verify_nvfp4(const KernelSpec& spec, const Nvfp4Input& input,
                                      float global_scale, const Nvfp4Result& result);

}  // namespace fourge::tools
