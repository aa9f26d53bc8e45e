// A defect that a test plants into generated source, to see that it shows.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace fourge::tests {

struct Defect {
  std::string_view name;
  std::string_view from;  // is in the generated source once; empty: no defect
  std::string_view to;
  std::int64_t cols = 1024;  // of the calls that show it, where the test chooses them by it
};

// Throws std::runtime_error if the source does not have it just once.
inline std::string with_defect(const Defect& defect, std::string source) {
  const auto at = source.find(defect.from);
  if (defect.from.empty()) {
    return source;
  }
  if (at == std::string::npos || source.find(defect.from, at + 1) != std::string::npos) {
    throw std::runtime_error(std::string(defect.name) +
                             ": not once in the source: " + std::string(defect.from));
  }
  return source.replace(at, defect.from.size(), defect.to);
}

}  // namespace fourge::tests
