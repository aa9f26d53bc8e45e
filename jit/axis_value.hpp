// The value of an axis by its name, for code that serves operations with and without it.
#pragma once

#include <fourge/kernel_spec.hpp>

#include <cstddef>
#include <string_view>

namespace fourge::jit {

// Empty if the spec's operation has no such axis (KernelSpec::get() would throw). No text but names is compared.
inline std::string_view axis_value(const KernelSpec& spec, std::string_view name) {
  const auto axes = spec.op().axes;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (axes[i].name == name) return axes[i].values[spec.index(i)].text;
  }
  return {};
}

}  // namespace fourge::jit
