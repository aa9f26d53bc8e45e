#include "tools/spec_argument.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "jit/some_target.hpp"

namespace fourge::tools {
namespace {

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    if (comma != 0) {
      parts.push_back(text.substr(0, comma));
    }
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return parts;
}

class VariantFilter {
 public:
  // Throws for an axis or value that the op does not know.
  VariantFilter(const OpDefinition& op, std::string_view text) {
    KernelSpec probe(op, Target::all().front());
    for (const std::string_view part : split(text)) {
      const std::size_t equals = part.find('=');
      if (equals == std::string_view::npos) {
        throw Error(ErrorKind::invalid_spec,
                    fmt::format("\"{}\" in the filter is not AXIS=VALUE", part));
      }
      const std::string axis(part.substr(0, equals));
      const std::string value(part.substr(equals + 1));
      probe.set(axis, value);
      auto known = std::find_if(allowed_.begin(), allowed_.end(),
                                [&](const Allowed& allowed) { return allowed.axis == axis; });
      if (known == allowed_.end()) {
        known = allowed_.insert(allowed_.end(), {axis, {}});
      }
      known->values.push_back(value);
    }
  }

  bool operator()(const KernelSpec& spec) const {
    return std::all_of(allowed_.begin(), allowed_.end(), [&](const Allowed& allowed) {
      return std::find(allowed.values.begin(), allowed.values.end(), spec.get(allowed.axis)) !=
             allowed.values.end();
    });
  }

 private:
  struct Allowed {
    std::string axis;
    std::vector<std::string> values;
  };
  std::vector<Allowed> allowed_;
};

}  // namespace

KernelSpec parse_spec_argument(const std::string& text, const std::string& target) {
  if (target.empty()) {
    // What is wrong besides.
    jit::parse_for_some_target([&](Target some) { return KernelSpec::parse(text, some); });
    if (text.find('@') == std::string::npos) {
      throw Error(ErrorKind::invalid_spec,
                  fmt::format("\"{}\" names no target; add one (@sm_90a) or give --target", text));
    }
    return KernelSpec::parse(text);
  }
  const Target wanted = Target::parse(target);
  KernelSpec spec = KernelSpec::parse(text, wanted);
  if (spec.target() != wanted) {
    throw Error(ErrorKind::invalid_spec, fmt::format("--target is {}, but the spec says {}",
                                                     wanted.text(), spec.target().text()));
  }
  return spec;
}

std::vector<Target> parse_targets(std::string_view text) {
  if (text == "all") {
    return {Target::all().begin(), Target::all().end()};
  }
  std::vector<Target> targets;
  for (const std::string_view part : split(text)) {
    const Target target = Target::parse(part);
    if (std::find(targets.begin(), targets.end(), target) == targets.end()) {
      targets.push_back(target);
    }
  }
  if (targets.empty()) {
    throw Error(ErrorKind::invalid_spec, "no target was named; give some (sm_90a,sm_100a) or all");
  }
  return targets;
}

std::vector<const OpDefinition*> parse_ops(const std::vector<std::string>& names) {
  if (names.empty()) {
    return {all_ops().begin(), all_ops().end()};
  }
  std::vector<const OpDefinition*> ops;
  for (const std::string& name : names) {
    const OpDefinition* op = &find_op(name);
    if (std::find(ops.begin(), ops.end(), op) == ops.end()) {
      ops.push_back(op);
    }
  }
  return ops;
}

std::vector<OpVariants> select_variants(const std::vector<const OpDefinition*>& ops,
                                        const std::vector<Target>& targets,
                                        std::string_view filter) {
  std::vector<OpVariants> selected;
  std::exception_ptr refusal;
  for (const OpDefinition* op : ops) {
    try {
      const VariantFilter accepted(*op, filter);
      OpVariants variants{op, {}};
      for (const Target& target : targets) {
        for (const KernelSpec& spec : legal_variants(*op, target)) {
          if (accepted(spec)) {
            variants.specs.push_back(spec);
          }
        }
      }
      selected.push_back(std::move(variants));
    } catch (const Error&) {
      refusal = refusal ? refusal : std::current_exception();
    }
  }
  if (selected.empty() && refusal) {
    std::rethrow_exception(refusal);
  }
  return selected;
}

}  // namespace fourge::tools
