// The example's operation in a registry, and what the tests of registries share.
#pragma once

#include <fourge/runtime.hpp>

#include "examples/custom_op/scaled_cast.hpp"
#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

#include <fstream>

namespace fourge::tests {

namespace fs = std::filesystem;

inline const std::string kTemplates = FOURGE_SOURCE_DIR "/examples/custom_op/templates";

inline OpRegistry with_scaled_cast(const std::string& directory = kTemplates) {
  OpRegistry ops;
  ops.add(scaled_cast_op(), directory);
  return ops;
}

inline void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << text;
  REQUIRE(file.flush());
}

template <class Call>
std::string error_of(ErrorKind kind, const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(std::string(to_string(error.kind())) == to_string(kind));
    return error.what();
  }
  FAIL("nothing was thrown");
  return {};
}

inline bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A copy of the example's templates that a test may change.
inline std::string copied(const Scratch& scratch, const std::string& name) {
  const std::string directory = scratch.path() + "/" + name;
  fs::copy(kTemplates, directory);
  return directory;
}

inline Options options_with(const Scratch& scratch, OpRegistry ops) {
  Options options = scratch.options();
  options.ops = std::move(ops);
  return options;
}

}  // namespace fourge::tests
