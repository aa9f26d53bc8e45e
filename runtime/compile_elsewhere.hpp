// A compile that is not done by this process.
#pragma once

#include <fourge/runtime.hpp>

#include "runtime/build_request.hpp"

#include <cstddef>
#include <optional>
#include <stop_token>
#include <vector>

namespace fourge {

struct Elsewhere {
  Origin origin = Origin::compiled;
  bool kept = true;              // it is in the cache directory now
  std::vector<std::byte> cubin;  // if not kept; not checked
};

class CompileElsewhere {
 public:
  CompileElsewhere() = default;
  virtual ~CompileElsewhere() = default;
  CompileElsewhere(const CompileElsewhere&) = delete;
  CompileElsewhere& operator=(const CompileElsewhere&) = delete;

  // Looks into the caches, compiles, publishes. Nothing: this process must do it. Throws what a compile
  // throws, and Error(cancelled) soon after a stop was requested.
  virtual std::optional<Elsewhere> compile(const BuildRequest& request,
                                           const std::stop_token& stop) = 0;
};

}  // namespace fourge
