#include "runtime/definition_check.hpp"

#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>

#include "runtime/cubin_check.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <set>
#include <string>
#include <string_view>

namespace fourge {
namespace {

constexpr std::size_t kMaxAxisValues = 255;

[[noreturn]] void refuse(const OpDefinition& op, const std::string& what) {
  throw Error(ErrorKind::invalid_argument,
              fmt::format("operation \"{}\" cannot be added: {}", op.name, what));
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_identifier(std::string_view text) {
  return !text.empty() && is_letter(text.front()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_letter(c) || is_digit(c); });
}

// Names separated by "::".
bool is_qualified(std::string_view text) {
  for (auto at = text.find("::"); at != std::string_view::npos; at = text.find("::")) {
    if (!is_identifier(text.substr(0, at))) {
      return false;
    }
    text.remove_prefix(at + 2);
  }
  return is_identifier(text);
}

// What may stand for a name or a value in a spec's text.
bool is_spec_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '.' || c == '-' || c == '+';
  });
}

void check_axis(const OpDefinition& op, const Axis& axis) {
  if (!is_spec_word(axis.name)) {
    refuse(op, fmt::format("axis name \"{}\" must be of letters, digits, _ . - and +", axis.name));
  }
  if (!is_identifier(axis.constant)) {
    refuse(op, fmt::format("constant \"{}\" of axis \"{}\" must be a C++ identifier (kScale)",
                           axis.constant, axis.name));
  }
  if (axis.values.empty() || axis.values.size() > kMaxAxisValues) {
    refuse(op, fmt::format("axis \"{}\" has {} values; it must have 1 to {}", axis.name,
                           axis.values.size(), kMaxAxisValues));
  }
  std::set<std::string_view> seen;
  for (const AxisValue& value : axis.values) {
    if (!is_spec_word(value.text) || value.expression.empty()) {
      refuse(op, fmt::format("value \"{}\" of axis \"{}\" must be of letters, digits, _ . - and +, "
                             "and have an expression",
                             value.text, axis.name));
    }
    if (!seen.insert(value.text).second) {
      refuse(op, fmt::format("axis \"{}\" has the value \"{}\" twice", axis.name, value.text));
    }
  }
  if (!axis.general.empty() && seen.count(axis.general) == 0) {
    refuse(op, fmt::format("the general value \"{}\" of axis \"{}\" is none of its values",
                           axis.general, axis.name));
  }
}

void check_axes(const OpDefinition& op) {
  if (op.axes.size() > KernelSpec::kMaxAxes) {
    refuse(op, fmt::format("it has {} axes; at most {} are supported", op.axes.size(),
                           KernelSpec::kMaxAxes));
  }
  // Those that the generator adds for the target.
  std::set<std::string_view> constants{"kCvtE2m1",  "kCvtE4m3",        "kCvtUe8m0",
                                       "kReduxF32", "kLoad256",        "kMax3F32",
                                       "kMulF32x2", "kGridDependency", "kBulkCopy"};
  std::set<std::string_view> names;
  for (const Axis& axis : op.axes) {
    check_axis(op, axis);
    if (!names.insert(axis.name).second) {
      refuse(op, fmt::format("it has two axes \"{}\"", axis.name));
    }
    if (!constants.insert(axis.constant).second) {
      refuse(op, fmt::format("constant \"{}\" of axis \"{}\" is taken, by another axis or by a "
                             "feature of the target",
                             axis.constant, axis.name));
    }
  }
}

void check_params(const OpDefinition& op) {
  if (op.params.empty() || op.params.size() > kMaxParams) {
    refuse(op,
           fmt::format("it has {} parameters; it must have 1 to {}", op.params.size(), kMaxParams));
  }
  std::set<std::string_view> names;
  for (const Param& param : op.params) {
    if (!is_identifier(param.name) || !names.insert(param.name).second || param.type.empty()) {
      refuse(op, fmt::format("parameter \"{}\" must have a type and a C++ identifier of its own",
                             param.name));
    }
    if (param.size == 0 || param.offset > op.args_size ||
        param.size > op.args_size - param.offset) {
      refuse(op,
             fmt::format("parameter \"{}\" ({} bytes at offset {}) lies outside of its argument "
                         "struct of {} bytes",
                         param.name, param.size, param.offset, op.args_size));
    }
  }
}

void check_functions(const OpDefinition& op) {
  const auto need = [&op](bool there, std::string_view member) {
    if (!there) {
      refuse(op, fmt::format("its member {} is null", member));
    }
  };
  need(op.block_threads != nullptr, "block_threads");
  need(op.refusal != nullptr, "refusal");
  need(op.check_args != nullptr, "check_args");
  need(op.launch_shape != nullptr, "launch_shape");
  need(op.regions != nullptr, "regions");
}

}  // namespace

void check_definition(const OpDefinition& op) {
  if (!is_identifier(op.name)) {
    refuse(op, "its name must be a C identifier, because the kernel's entry is named after it");
  }
  if (!is_qualified(op.entry_function)) {
    refuse(op, fmt::format("entry_function \"{}\" must name a function template: my_kernel, or "
                           "my_namespace::my_kernel",
                           op.entry_function));
  }
  check_axes(op);
  check_params(op);
  check_functions(op);
}

}  // namespace fourge
