// What `fourge run` is asked for, and the spec that this means.
#pragma once

#include <fourge/kernel_spec.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace fourge::tools {

struct RunOptions {
  std::string op;
  std::string spec;
  std::string dtype;
  std::string layout;
  std::string math;
  std::string tpc;
  std::string target;
  std::string device = "auto";
  std::string input;
  std::string shape;
  std::uint64_t seed = 1;
  std::string global_scale;
  std::string codes_path;
  std::string scales_path;
  bool verify = false;
  int repeat = 1;
};

// The target that --target or the text names, if any.
std::optional<Target> wanted_target(const RunOptions& options, const std::string& text);

// text: an operation or a spec; the options' axes come on top. Throws Error(invalid_argument) where an option and the text
// disagree, and what KernelSpec throws.
KernelSpec make_spec(const RunOptions& options, const std::string& text, Target target);

}  // namespace fourge::tools
