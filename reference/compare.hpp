// Compares a kernel's NVFP4 output with the reference's.
#pragma once

#include <cstdint>
#include <string>

#include "reference/nvfp4.hpp"

namespace fourge::reference {

struct CompareReport {
  std::uint64_t blocks = 0;             // blocks of 16 that were compared
  std::uint64_t scale_differences = 0;  // bytes of the scale buffer, padding included
  std::uint64_t code_differences = 0;   // elements, the excused ones not counted
  std::uint64_t excused_codes = 0;      // elements, fast mode only
  std::uint64_t excused_blocks = 0;     // fast mode with other reciprocals (nvfp4_quantize.hpp)
  std::string first;                    // the first difference in words; empty if there is none

  bool ok() const noexcept { return scale_differences == 0 && code_differences == 0; }
};

// Exact mode: every byte of codes and scales must be equal, scale padding included.
// Fast mode: every byte of scales must be equal. A code may be the neighbour of the expected one,
// with the same sign, where the exact product of element and multiplier lies within 4 units in the
// last place (of binary32) of the tie between the two; such codes are counted as excused. A buffer
// of the wrong size is a difference. Throws std::invalid_argument as quantize_nvfp4() does.
CompareReport compare_nvfp4(const Nvfp4Problem& problem, const Nvfp4Output& expected,
                            const Nvfp4Output& found);

}  // namespace fourge::reference
