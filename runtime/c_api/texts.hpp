// Texts of the C API that live as long as the process.
#pragma once

#include <fourge/target.hpp>

namespace fourge::c_api {

// "sm_90a"
const char* target_name(const Target& target);

}  // namespace fourge::c_api
