// What to compute: an operation, one value for each of its axes, and a target. A small value type with
// one canonical text form that parses back:
//   nvfp4_quantize[in=bf16,layout=128x4,scale=tensor,math=exact,tpc=1,4over6=off]@sm_90a
// Text may name axes in any order and leave out those at their default; the canonical text names all,
// in the order of the op's definition.
//
// Copies are independent; one object is not to be changed while another thread uses it. Nothing here
// needs a GPU, a compiler or a file. The definition that a spec refers to must outlive it; the built-in
// ones always do.
#pragma once

#include <fourge/export.hpp>
#include <fourge/op_definition.hpp>
#include <fourge/target.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace fourge {

class FOURGE_API KernelSpec {
 public:
  static constexpr std::size_t kMaxAxes = 12;

  // All axes at their defaults.
  KernelSpec(const OpDefinition& op, Target target) : op_(&op), target_(target) {}

  // Throws Error(invalid_spec) that names the unknown op, axis, value or target, what is known
  // instead, or why the combination is illegal. Without "@target" the fallback is taken; without a
  // fallback that is an error.
  static KernelSpec parse(std::string_view text, std::optional<Target> fallback = std::nullopt);

  // The same with another table of operations: find_op gives the one of a name, or throws
  // Error(invalid_spec). OpRegistry::parse() is made of this.
  static KernelSpec parse(std::string_view text,
                          const std::function<const OpDefinition&(std::string_view)>& find_op,
                          std::optional<Target> fallback);

  const OpDefinition& op() const noexcept { return *op_; }
  Target target() const noexcept { return target_; }

  // Sets one axis by name. Throws Error(invalid_spec). The combination is checked by check().
  KernelSpec& set(std::string_view axis, std::string_view value);
  KernelSpec& set_index(std::size_t axis, std::size_t value) noexcept;
  // The value's text. Throws Error(invalid_spec) for an unknown axis.
  std::string_view get(std::string_view axis) const;
  std::size_t index(std::size_t axis) const noexcept { return values_[axis]; }

  // The same for another target.
  KernelSpec with_target(Target target) const;

  // The general variant with the same results, bit for bit, and the same arguments: every axis with a
  // general value (Axis::general) at that one. The spec itself if it is that one, if no axis has a
  // general value, or if the combination is not legal.
  KernelSpec fallback() const;
  // Whether the two differ at most in axes that change no results.
  bool same_results(const KernelSpec& other) const noexcept;

  // Throws Error(invalid_spec) with the reason if the combination is illegal.
  void check() const;

  std::string text() const;  // with "@target"
  std::string text_without_target() const;
  // The name of the kernel's entry: a C identifier made of the op and the axis values.
  std::string entry_name() const;

  std::size_t hash() const noexcept;
  friend bool operator==(const KernelSpec&, const KernelSpec&) = default;

 private:
  const OpDefinition* op_;
  Target target_;
  std::array<std::uint8_t, kMaxAxes> values_{};
};

}  // namespace fourge
