// Whether an OpDefinition is one that specs, sources and launches can be made from. The built-in ones
// pass; those from outside are checked when they are added.
#pragma once

#include <fourge/op_definition.hpp>

namespace fourge {

// Throws Error(invalid_argument) that names the operation, the member and what it must be.
void check_definition(const OpDefinition& op);

}  // namespace fourge
