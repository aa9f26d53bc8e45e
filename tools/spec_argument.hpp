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

struct OpVariants {
  const OpDefinition* op;
  std::vector<KernelSpec> specs;
};

// The legal variants of each op for each target. filter: "math=exact,in=bf16" keeps those that have
// one of the values given for each axis named; an op without such an axis or value has none. Throws
// Error(invalid_spec) for an axis or value that none of the ops knows.
std::vector<OpVariants> select_variants(const std::vector<const OpDefinition*>& ops,
                                        const std::vector<Target>& targets,
                                        std::string_view filter);

}  // namespace fourge::tools
