// Specs whose target is yet to come.
#pragma once

#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>

#include <exception>

namespace fourge::jit {

// What parse(target) gives for the first target that takes the text: not every value of an axis is legal on the oldest. Rethrows
// the first refusal if none does.
template <class Parse>
KernelSpec parse_for_some_target(const Parse& parse) {
  std::exception_ptr refusal;
  for (const Target target : Target::all()) {
    try {
      return parse(target);
    } catch (const Error&) {
      if (!refusal) refusal = std::current_exception();
    }
  }
  std::rethrow_exception(refusal);
}

}  // namespace fourge::jit
