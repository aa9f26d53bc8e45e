// A GPU target as a value: compute capability and suffix. The suffix is part of the target: sm_100 and
// sm_100a are different targets with different instructions, and none is ever added or dropped silently.
// Immutable, and known to all threads.
#pragma once

#include <fourge/export.hpp>

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace fourge {

enum class TargetSuffix : std::uint8_t {
  none,          // sm_90: runs on X.Z with Z >= Y of the same major version
  architecture,  // sm_90a: runs on exactly this compute capability
  family,        // sm_100f: runs on the family of this compute capability
};

// Which instructions a target has. Read off by compiling one-instruction kernels with NVRTC 13.0.
// Where a fact is false, generated sources take the software path, which gives the same bits.
struct TargetFeatures {
  bool cvt_e2m1 = false;         // cvt.rn.satfinite.e2m1x2.f32
  bool cvt_e4m3 = false;         // cvt.rn.satfinite.e4m3x2.f32
  bool cvt_ue8m0 = false;        // cvt.rp.satfinite.ue8m0x2.f32
  bool redux_f32 = false;        // redux.sync.max.abs.f32
  bool load_256 = false;         // ld.global.v8.b32
  bool max3_f32 = false;         // three-operand max.f32
  bool mul_f32x2 = false;        // mul.f32x2
  bool grid_dependency = false;  // griddepcontrol (programmatic dependent launch)
  bool bulk_copy = false;        // cp.async.bulk
  bool wgmma = false;
  bool setmaxnreg = false;
  friend bool operator==(const TargetFeatures&, const TargetFeatures&) = default;
};

class FOURGE_API Target {
 public:
  // All targets fourge knows, in ascending order. Every kernel variant compiles for each of them.
  static std::span<const Target> all();

  // "sm_90a". Throws Error(invalid_spec), listing the known targets, for anything else.
  static Target parse(std::string_view text);
  static std::optional<Target> try_parse(std::string_view text) noexcept;

  // The most capable known target that runs on a device of this compute capability (9.0 -> sm_90a);
  // nullopt where fourge knows none.
  static std::optional<Target> for_device(int major, int minor) noexcept;

  int major() const noexcept { return major_; }
  int minor() const noexcept { return minor_; }
  TargetSuffix suffix() const noexcept { return suffix_; }

  std::string text() const;          // "sm_90a"
  std::string virtual_text() const;  // "compute_90a"
  const TargetFeatures& features() const noexcept;

  // Whether a cubin of this target loads on a device of that compute capability.
  bool runs_on(int device_major, int device_minor) const noexcept;

  friend auto operator<=>(const Target&, const Target&) = default;

 private:
  friend struct TargetTable;
  constexpr Target(int major, int minor, TargetSuffix suffix)
      : major_(static_cast<std::uint8_t>(major)),
        minor_(static_cast<std::uint8_t>(minor)),
        suffix_(suffix) {}
  std::uint8_t major_;
  std::uint8_t minor_;
  TargetSuffix suffix_;
};

}  // namespace fourge
