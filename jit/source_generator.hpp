// From a spec to the one translation unit that NVRTC (or the host compiler) gets. The unit includes
// nothing: the device files that the kernel's template needs are pasted in include order, then come
// the Config struct with the spec's constants and the target's facts, and one extern "C" entry.
#pragma once

#include <fourge/kernel_spec.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fourge::jit {

struct TemplateFile {
  std::string_view name;  // as templates include it: "device/e2m1.cuh"
  std::string_view text;
};

// Whether the unit says which file and line its lines are from, for a compiler's messages. Names are
// those of the template files; no path is.
enum class LineMarks { no, yes };

// What Config says of a target, by the names of its functions: the same for every operation.
struct TargetFlag {
  std::string_view name;
  bool value;

  bool operator==(const TargetFlag&) const = default;
};
std::vector<TargetFlag> target_flags(const Target& target);

// Throws Error(invalid_spec) for an illegal spec and Error(internal) for a missing template file.
std::string generate(const KernelSpec& spec, std::span<const TemplateFile> files,
                     LineMarks marks = LineMarks::no);

// What decides the bytes besides the source: the real target, flush-to-zero, no contraction, a
// fixed seed for the names NVRTC makes up, NVRTC's hidden cache off. No option bears a path.
std::vector<std::string> nvrtc_options(const Target& target);

}  // namespace fourge::jit
