// Specs and targets as subcommands take them.
#pragma once

#include <fourge/kernel_spec.hpp>
#include <fourge/op_definition.hpp>
#include <fourge/target.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace fourge::tools {

// A spec; target stands in for a missing "@target" and may be empty. Throws Error(invalid_spec).
KernelSpec parse_spec_argument(const std::string& text, const std::string& target);

// "sm_90a,sm_100a" or "all", without repetitions. Throws Error(invalid_spec).
std::vector<Target> parse_targets(std::string_view text);

// The named operations; all of them if none is named. Throws Error(invalid_spec).
std::vector<const OpDefinition*> parse_ops(const std::vector<std::string>& names);

// "math=exact,in=bf16": keeps the specs that have one of the values given for each axis named.
// Throws Error(invalid_spec) for a name that the op does not know.
class VariantFilter {
 public:
  VariantFilter(const OpDefinition& op, std::string_view text);
  bool accepts(const KernelSpec& spec) const;

 private:
  struct Allowed {
    std::string axis;
    std::vector<std::string> values;
  };
  std::vector<Allowed> allowed_;
};

}  // namespace fourge::tools
