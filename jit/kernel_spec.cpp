#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>

#include <fmt/format.h>
#include <cstring>
#include <string>
#include <vector>

namespace fourge {
namespace {

std::string quoted_list(const auto& items, auto text_of) {
  std::string list;
  for (const auto& item : items) {
    list += fmt::format("{}{}", list.empty() ? "" : ", ", text_of(item));
  }
  return list;
}

std::size_t axis_index(const OpDefinition& op, std::string_view name) {
  for (std::size_t i = 0; i < op.axes.size(); ++i) {
    if (op.axes[i].name == name) {
      return i;
    }
  }
  throw Error(ErrorKind::invalid_spec,
              fmt::format("{} has no axis \"{}\"; its axes: {}", op.name, name,
                          quoted_list(op.axes, [](const Axis& axis) { return axis.name; })));
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

[[noreturn]] void malformed(std::string_view text, const std::string& what) {
  throw Error(
      ErrorKind::invalid_spec,
      fmt::format("malformed spec \"{}\": {}; the form is op[axis=value,...]@target", text, what));
}

// Splits "op[a=b,c=d]@target" without looking at what the parts mean.
struct SpecParts {
  std::string_view op;
  std::vector<std::pair<std::string_view, std::string_view>> axes;
  std::optional<std::string_view> target;
};

std::vector<std::pair<std::string_view, std::string_view>> split_axes(std::string_view whole,
                                                                      std::string_view list) {
  std::vector<std::pair<std::string_view, std::string_view>> axes;
  list = trimmed(list);
  while (!list.empty()) {
    const auto comma = list.find(',');
    const auto item = trimmed(list.substr(0, comma));
    const auto equals = item.find('=');
    if (equals == std::string_view::npos) {
      malformed(whole, fmt::format("\"{}\" is not axis=value", item));
    }
    axes.emplace_back(trimmed(item.substr(0, equals)), trimmed(item.substr(equals + 1)));
    if (comma == std::string_view::npos) {
      break;
    }
    list.remove_prefix(comma + 1);
    if (trimmed(list).empty()) {
      malformed(whole, "an axis is missing after the last comma");
    }
  }
  return axes;
}

SpecParts split_spec(std::string_view whole) {
  SpecParts parts;
  auto text = trimmed(whole);
  if (const auto at = text.rfind('@'); at != std::string_view::npos) {
    parts.target = trimmed(text.substr(at + 1));
    text = trimmed(text.substr(0, at));
  }
  const auto open = text.find('[');
  parts.op = trimmed(text.substr(0, open));
  if (open == std::string_view::npos) {
    return parts;
  }
  if (text.back() != ']') {
    malformed(whole, "\"[\" is not closed before the target or the end");
  }
  parts.axes = split_axes(whole, text.substr(open + 1, text.size() - open - 2));
  return parts;
}

}  // namespace

KernelSpec KernelSpec::parse(std::string_view text, std::optional<Target> fallback) {
  return parse(text, fourge::find_op, fallback);
}

KernelSpec KernelSpec::parse(std::string_view text,
                             const std::function<const OpDefinition&(std::string_view)>& find_op,
                             std::optional<Target> fallback) {
  const SpecParts parts = split_spec(text);
  const OpDefinition& op = find_op(parts.op);
  if (!parts.target && !fallback) {
    malformed(text, "it names no target (for example @sm_90a)");
  }
  KernelSpec spec(op, parts.target ? Target::parse(*parts.target) : *fallback);
  std::array<bool, kMaxAxes> seen{};
  for (const auto& [name, value] : parts.axes) {
    const std::size_t axis = axis_index(op, name);
    if (seen[axis]) {
      malformed(text, fmt::format("axis \"{}\" is given twice", name));
    }
    seen[axis] = true;
    spec.set(name, value);
  }
  spec.check();
  return spec;
}

KernelSpec& KernelSpec::set(std::string_view axis, std::string_view value) {
  const std::size_t i = axis_index(*op_, axis);
  const auto& values = op_->axes[i].values;
  for (std::size_t v = 0; v < values.size(); ++v) {
    if (values[v].text == value) {
      return set_index(i, v);
    }
  }
  throw Error(ErrorKind::invalid_spec,
              fmt::format("{}: axis \"{}\" has no value \"{}\"; its values: {}", op_->name, axis,
                          value, quoted_list(values, [](const AxisValue& v) { return v.text; })));
}

KernelSpec& KernelSpec::set_index(std::size_t axis, std::size_t value) noexcept {
  values_[axis] = static_cast<std::uint8_t>(value);
  return *this;
}

std::string_view KernelSpec::get(std::string_view axis) const {
  const std::size_t i = axis_index(*op_, axis);
  return op_->axes[i].values[values_[i]].text;
}

void KernelSpec::check() const {
  const std::string reason = op_->refusal(*this);
  if (!reason.empty()) {
    throw Error(ErrorKind::invalid_spec, fmt::format("{} is refused: {}", text(), reason));
  }
}

KernelSpec KernelSpec::with_target(Target target) const {
  KernelSpec spec = *this;
  spec.target_ = target;
  return spec;
}

KernelSpec KernelSpec::fallback() const {
  KernelSpec general = *this;
  for (std::size_t i = 0; i < op_->axes.size(); ++i) {
    const Axis& axis = op_->axes[i];
    for (std::size_t value = 0; value < axis.values.size(); ++value) {
      if (!axis.general.empty() && axis.values[value].text == axis.general) {
        general.set_index(i, value);
      }
    }
  }
  return op_->refusal(general).empty() ? general : *this;
}

bool KernelSpec::same_results(const KernelSpec& other) const noexcept {
  if (op_ != other.op_ || target_ != other.target_) {
    return false;
  }
  for (std::size_t i = 0; i < op_->axes.size(); ++i) {
    if (op_->axes[i].general.empty() && values_[i] != other.values_[i]) {
      return false;
    }
  }
  return true;
}

std::string KernelSpec::text_without_target() const {
  std::string text(op_->name);
  for (std::size_t i = 0; i < op_->axes.size(); ++i) {
    const Axis& axis = op_->axes[i];
    text += fmt::format("{}{}={}", i == 0 ? '[' : ',', axis.name, axis.values[values_[i]].text);
  }
  return op_->axes.empty() ? text : text + ']';
}

std::string KernelSpec::text() const { return text_without_target() + '@' + target_.text(); }

std::string KernelSpec::entry_name() const {
  std::string name(op_->name);
  for (std::size_t i = 0; i < op_->axes.size(); ++i) {
    name += '_';
    name += op_->axes[i].values[values_[i]].text;
  }
  for (char& c : name) {
    const bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    c = word ? c : '_';
  }
  return name;
}

std::size_t KernelSpec::hash() const noexcept {
  // The few bytes that make a spec, eight at a time; the op stands for itself by its address, axes that
  // it has not are zero.
  static_assert(kMaxAxes > 8 && kMaxAxes <= 16);
  constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15ULL;
  std::uint64_t first = 0;
  std::uint64_t rest = 0;
  std::memcpy(&first, values_.data(), 8);
  std::memcpy(&rest, values_.data() + 8, kMaxAxes - 8);
  std::uint64_t h = reinterpret_cast<std::uintptr_t>(op_);
  const auto mix = [&h](std::uint64_t word) {
    h = (h ^ word) * kOdd;
    h ^= h >> 29;
  };
  mix(static_cast<std::uint64_t>(target_.major() * 256 + target_.minor()) * 4 +
      static_cast<std::uint64_t>(target_.suffix()));
  mix(first);
  mix(rest);
  return static_cast<std::size_t>(h ^ (h >> 32));
}

}  // namespace fourge
