// The known-answer vectors of tests/vectors (see the README there).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reference/formats.hpp"

namespace fourge::tests {

struct VectorResult {
  std::string config;   // "nvfp4", "4over6-mae-448-exact", ...
  std::string scaling;  // "tensor" or "token"
  std::vector<std::uint8_t> codes;
  std::vector<std::uint8_t> scales;  // linear layout
  float global_scale = 0;            // scaling "tensor": the G that was given
  float global_scale_inverse = 0;    // scaling "token": the 1/G that was given
  std::vector<float> token_scales;   // scaling "token": expected, one a row
};

struct VectorCase {
  reference::ElementType type = reference::ElementType::bf16;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::string init;  // how the input was drawn
  std::vector<std::uint16_t> x;
  std::vector<VectorResult> results;

  // "bf16 17x208 wide"
  std::string name() const;
  // Throws std::runtime_error if the case has no such result.
  const VectorResult& result(std::string_view config, std::string_view scaling) const;
};

// Reads all cases from the source tree. Throws std::runtime_error or a nlohmann exception, so that
// a missing or damaged file fails a test.
std::vector<VectorCase> load_vectors();

}  // namespace fourge::tests
