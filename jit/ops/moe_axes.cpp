#include "jit/ops/moe_axes.hpp"

#include <fourge/error.hpp>

#include "jit/ops/arguments.hpp"

#include <fmt/format.h>

namespace fourge::jit {

void check_expanded_tokens(const KernelSpec& spec, std::int64_t tokens, std::int64_t top_k) {
  check_count(spec, "tokens", tokens);
  if (top_k <= 0) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: top_k is {}; it must be positive", spec.text(), top_k));
  }
  check_extent(spec, tokens, top_k);
}

}  // namespace fourge::jit
