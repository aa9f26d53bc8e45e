// The options of the C API.
#pragma once

#include <fourge/fourge.h>
#include <fourge/options.hpp>

#include <string>

struct fourge_options {
  fourge::Options options;
  std::string text;  // what fourge_options_get() returned last
};
