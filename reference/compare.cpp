#include "reference/compare.hpp"

#include <algorithm>
#include <cstdio>
#include <stdexcept>

#include "reference/near_tie.hpp"

namespace fourge::reference {
namespace {

std::string hex(unsigned value) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%02X", value);
  return text;
}

std::string number(float value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", static_cast<double>(value));
  return text;
}

std::string place(std::int64_t row, std::int64_t block) {
  return "row " + std::to_string(row) + ", block " + std::to_string(block);
}

std::string expected_found(unsigned expected, unsigned found) {
  return ": expected " + hex(expected) + ", found " + hex(found);
}

unsigned code_at(const std::vector<std::uint8_t>& codes, std::size_t element) {
  const unsigned byte = codes[element / 2];
  return element % 2 == 0 ? byte & 0xFU : byte >> 4;
}

void note(CompareReport& report, const std::string& difference) {
  if (report.first.empty()) {
    report.first = difference;
  }
}

void compare_scales(const ScaleMatrix& matrix, const std::vector<std::uint8_t>& expected,
                    const std::vector<std::uint8_t>& found, CompareReport& report) {
  if (found.size() != expected.size()) {
    report.scale_differences += std::max(found.size(), expected.size());
    note(report, "scales: expected " + std::to_string(expected.size()) + " bytes, found " +
                     std::to_string(found.size()));
    return;
  }
  if (found == expected) {
    return;
  }
  for (std::int64_t row = 0; row < matrix.padded_rows(); ++row) {
    for (std::int64_t col = 0; col < matrix.padded_cols(); ++col) {
      const std::size_t offset = matrix.offset(row, col);
      if (found[offset] != expected[offset]) {
        const bool padding = row >= matrix.rows() || col >= matrix.cols();
        ++report.scale_differences;
        note(report, place(row, col) + ", scale" + (padding ? " (padding)" : "") + " at byte " +
                         std::to_string(offset) + expected_found(expected[offset], found[offset]));
      }
    }
  }
}

void compare_block(const Nvfp4Problem& problem, std::int64_t row, std::int64_t block,
                   const Nvfp4Output& expected, const Nvfp4Output& found, CompareReport& report) {
  const auto begin = static_cast<std::size_t>(row * problem.cols + block * kNvfp4Block);
  const auto x = block_of(problem, row, block);
  const float multiplier =
      quantize_nvfp4_block(x, problem.type, problem.global_scale, problem.math).multiplier;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const unsigned want = code_at(expected.codes, begin + i);
    const unsigned got = code_at(found.codes, begin + i);
    if (want == got) {
      continue;
    }
    const float element = to_float(problem.type, x[i]);
    if (problem.math == MathMode::fast && near_tie(element, multiplier, want, got)) {
      ++report.excused_codes;
      continue;
    }
    ++report.code_differences;
    note(report, place(row, block) + ", element " + std::to_string(i) + ", code" +
                     expected_found(want, got) + " (x = " + number(element) + ", multiplier " +
                     number(multiplier) + ")");
  }
}

void compare_codes(const Nvfp4Problem& problem, const Nvfp4Output& expected,
                   const Nvfp4Output& found, CompareReport& report) {
  if (found.codes.size() != expected.codes.size()) {
    report.code_differences += 2 * std::max(found.codes.size(), expected.codes.size());
    note(report, "codes: expected " + std::to_string(expected.codes.size()) + " bytes, found " +
                     std::to_string(found.codes.size()));
    return;
  }
  const std::int64_t blocks = problem.cols / kNvfp4Block;
  for (std::int64_t row = 0; row < problem.rows; ++row) {
    for (std::int64_t block = 0; block < blocks; ++block) {
      const std::int64_t begin = (row * problem.cols + block * kNvfp4Block) / 2;
      const auto want = expected.codes.begin() + begin;
      if (!std::equal(want, want + kNvfp4Block / 2, found.codes.begin() + begin)) {
        compare_block(problem, row, block, expected, found, report);
      }
    }
  }
}

}  // namespace

CompareReport compare_nvfp4(const Nvfp4Problem& problem, const Nvfp4Output& expected,
                            const Nvfp4Output& found) {
  check_shape(problem);
  if (expected.codes.size() != problem.x.size() / 2 ||
      expected.scales.size() != problem.scale_matrix().bytes()) {
    throw std::invalid_argument(
        "the expected output does not have the sizes that its problem needs");
  }
  CompareReport report;
  report.blocks = problem.x.size() / static_cast<std::size_t>(kNvfp4Block);
  compare_scales(problem.scale_matrix(), expected.scales, found.scales, report);
  compare_codes(problem, expected, found, report);
  return report;
}

}  // namespace fourge::reference
