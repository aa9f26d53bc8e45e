#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "reference/near_tie.hpp"
#include "reference/nvfp4_quantize.hpp"
#include "reference/quantize_block.hpp"

namespace fourge::reference {
namespace {

// How many codes differ by the rule for ties; -1 if some differ otherwise, or the scale does.
int excused_in(const Nvfp4Block& block, const QuantizedBlock& made, unsigned scale,
               BlockCodes codes) {
  if (block.scale != scale) {
    return -1;
  }
  int excused = 0;
  for (std::size_t i = 0; i < made.elements.size(); ++i) {
    const unsigned shift = i % 2 == 0 ? 0U : 4U;
    const unsigned want = (static_cast<unsigned>(block.codes[i / 2]) >> shift) & 15U;
    const unsigned got = (static_cast<unsigned>(codes[i / 2]) >> shift) & 15U;
    if (want == got) {
      continue;
    }
    if (!near_tie(made.elements[i], block.multiplier, want, got)) {
      return -1;
    }
    ++excused;
  }
  return excused;
}

bool errors_nearly_equal(const QuantizedBlock& made) {
  return std::fabs(made.error_4 - made.error_6) <= 1e-5F * std::max(made.error_4, made.error_6);
}

void compare_padding(const ScaleMatrix& matrix, std::int64_t batches,
                     const std::vector<std::uint8_t>& found, CompareReport& report) {
  for (std::int64_t batch = 0; batch < batches; ++batch) {
    for (std::int64_t row = 0; row < matrix.padded_rows(); ++row) {
      const std::int64_t first = row < matrix.rows() ? matrix.cols() : 0;
      for (std::int64_t col = first; col < matrix.padded_cols(); ++col) {
        const std::size_t at =
            static_cast<std::size_t>(batch) * matrix.bytes() + matrix.offset(row, col);
        if (found[at] == 0) {
          continue;
        }
        ++report.scale_differences;
        if (report.first.empty()) {
          report.first = "scale padding at byte " + std::to_string(at) + " is " +
                         std::to_string(found[at]) + ", not 0";
        }
      }
    }
  }
}

}  // namespace

BlockCodes codes_at(const std::vector<std::uint8_t>& codes, std::size_t offset) {
  return std::span(codes).subspan(offset).first<kNvfp4Block / 2>();
}

bool fast_block_is_right(const std::function<QuantizedBlock(const ReciprocalErrors&)>& make,
                         unsigned scale, BlockCodes codes, CompareReport& report) {
  constexpr int kErrors[] = {0, 1, -1};
  for (const int of_given : kErrors) {
    for (const int of_scale : kErrors) {
      const QuantizedBlock made = make({of_given, of_scale});
      const bool nominal = of_given == 0 && of_scale == 0;
      int excused = excused_in(made.chosen, made, scale, codes);
      bool excused_block = !nominal;
      if (excused < 0 && made.has_other && errors_nearly_equal(made)) {
        excused = excused_in(made.other, made, scale, codes);
        excused_block = true;
      }
      if (excused >= 0) {
        report.excused_codes += static_cast<std::uint64_t>(excused);
        report.excused_blocks += excused_block ? 1U : 0U;
        return true;
      }
    }
  }
  return false;
}

std::string describe(const BlockPlace& place, unsigned want_scale, unsigned scale, BlockCodes want,
                     BlockCodes codes) {
  std::string text = "batch " + std::to_string(place.batch) + ", row " + std::to_string(place.row) +
                     ", block " + std::to_string(place.block) + ": expected scale ";
  const auto hex = [&text](unsigned byte) {
    char digits[8];
    std::snprintf(digits, sizeof digits, "%02X", byte);
    text += digits;
  };
  hex(want_scale);
  text += " codes ";
  std::for_each(want.begin(), want.end(), hex);
  text += ", found scale ";
  hex(scale);
  text += " codes ";
  std::for_each(codes.begin(), codes.end(), hex);
  return text;
}

std::uint64_t differing_codes(BlockCodes a, BlockCodes b) {
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const unsigned both = static_cast<unsigned>(a[i]) ^ b[i];
    count += ((both & 0x0FU) != 0 ? 1U : 0U) + ((both & 0xF0U) != 0 ? 1U : 0U);
  }
  return count;
}

CompareReport compare(const QuantizeProblem& problem, const Nvfp4Output& expected,
                      const Nvfp4Output& found) {
  check_problem(problem);
  const ScaleMatrix matrix = problem.scale_matrix();
  CompareReport report;
  if (found.codes.size() != expected.codes.size() ||
      found.scales.size() != expected.scales.size()) {
    report.code_differences = 2 * expected.codes.size();
    report.scale_differences = expected.scales.size();
    report.first = "expected " + std::to_string(expected.codes.size()) + " and " +
                   std::to_string(expected.scales.size()) + " bytes, found " +
                   std::to_string(found.codes.size()) + " and " +
                   std::to_string(found.scales.size());
    return report;
  }
  compare_padding(matrix, problem.batches, found.scales, report);
  for (std::int64_t all = 0; all < problem.batches * problem.rows; ++all) {
    for (std::int64_t block = 0; block < problem.blocks_of_row(); ++block) {
      const BlockPlace place{all / problem.rows, all % problem.rows, block};
      ++report.blocks;
      const std::size_t scale_at = scale_offset(problem, matrix, place);
      const std::size_t codes_at_offset = code_offset(problem, place);
      const BlockCodes want = codes_at(expected.codes, codes_at_offset);
      const BlockCodes got = codes_at(found.codes, codes_at_offset);
      const unsigned want_scale = expected.scales[scale_at];
      const unsigned scale = found.scales[scale_at];
      if (want_scale == scale && std::equal(want.begin(), want.end(), got.begin())) {
        continue;
      }
      const auto make = [&](const ReciprocalErrors& errors) {
        return quantize_block(problem, place, errors);
      };
      if (problem.math == MathMode::fast && fast_block_is_right(make, scale, got, report)) {
        continue;
      }
      report.scale_differences += want_scale != scale ? 1U : 0U;
      report.code_differences += differing_codes(want, got);
      if (report.first.empty()) {
        report.first = describe(place, want_scale, scale, want, got);
      }
    }
  }
  return report;
}

}  // namespace fourge::reference
