#include "tools/run_spec.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>

#include <string_view>
#include <tuple>

namespace fourge::tools {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::invalid_argument, what);
}

}  // namespace

std::optional<Target> wanted_target(const RunOptions& options, const std::string& text) {
  if (!options.target.empty()) {
    return Target::parse(options.target);
  }
  const std::size_t at = text.find('@');
  if (at == std::string::npos) {
    return std::nullopt;
  }
  return Target::parse(std::string_view(text).substr(at + 1));
}

KernelSpec make_spec(const RunOptions& options, const std::string& text, Target target) {
  KernelSpec spec = KernelSpec::parse(text, target);
  if (!options.spec.empty() && !options.op.empty() && spec.op().name != options.op) {
    refuse(fmt::format("--spec is of {}, but {} was asked for", spec.op().name, options.op));
  }
  if (spec.target() != target) {
    refuse(
        fmt::format("--target is {}, but the spec says {}", target.text(), spec.target().text()));
  }
  const std::tuple<const char*, const char*, const std::string*> axes[] = {
      {"in", "dtype", &options.dtype},
      {"layout", "layout", &options.layout},
      {"math", "math", &options.math},
      {"tpc", "tpc", &options.tpc}};
  for (const auto& [axis, option, value] : axes) {
    if (!value->empty()) {
      const bool said = text.find(fmt::format("[{}=", axis)) != std::string::npos ||
                        text.find(fmt::format(",{}=", axis)) != std::string::npos;
      if (said && spec.get(axis) != *value) {
        refuse(fmt::format("--{} is {}, but the spec says {}={}", option, *value, axis,
                           spec.get(axis)));
      }
      spec.set(axis, *value);
    }
  }
  spec.check();
  return spec;
}

}  // namespace fourge::tools
