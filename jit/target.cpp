#include <fourge/error.hpp>
#include <fourge/target.hpp>

#include <fmt/format.h>
#include <array>
#include <tuple>
#include <type_traits>
#include <utility>

namespace fourge {

struct TargetTable {
  struct Row {
    Target target;
    TargetFeatures features;
  };

  // Columns as in docs/targets.md, which says how they were found out.
  static const auto& rows() {
    constexpr auto kNone = TargetSuffix::none;
    constexpr auto kA = TargetSuffix::architecture;
    constexpr auto kF = TargetSuffix::family;
    static constexpr TargetFeatures kAmpere{};
    static constexpr TargetFeatures kAda{.cvt_e4m3 = true};
    static constexpr TargetFeatures kHopper{
        .cvt_e4m3 = true, .grid_dependency = true, .bulk_copy = true};
    static constexpr TargetFeatures kHopperA{.cvt_e4m3 = true,
                                             .grid_dependency = true,
                                             .bulk_copy = true,
                                             .wgmma = true,
                                             .setmaxnreg = true};
    static constexpr TargetFeatures kBlackwell{.cvt_e4m3 = true,
                                               .load_256 = true,
                                               .max3_f32 = true,
                                               .mul_f32x2 = true,
                                               .grid_dependency = true,
                                               .bulk_copy = true};
    static constexpr TargetFeatures kBlackwellFp4{.cvt_e2m1 = true,
                                                  .cvt_e4m3 = true,
                                                  .cvt_ue8m0 = true,
                                                  .load_256 = true,
                                                  .max3_f32 = true,
                                                  .mul_f32x2 = true,
                                                  .grid_dependency = true,
                                                  .bulk_copy = true,
                                                  .setmaxnreg = true};
    static constexpr TargetFeatures kDatacenter{.cvt_e2m1 = true,
                                                .cvt_e4m3 = true,
                                                .cvt_ue8m0 = true,
                                                .redux_f32 = true,
                                                .load_256 = true,
                                                .max3_f32 = true,
                                                .mul_f32x2 = true,
                                                .grid_dependency = true,
                                                .bulk_copy = true,
                                                .setmaxnreg = true};
    static constexpr std::array<Row, 14> kRows{{
        {Target(8, 0, kNone), kAmpere},
        {Target(8, 6, kNone), kAmpere},
        {Target(8, 9, kNone), kAda},
        {Target(9, 0, kNone), kHopper},
        {Target(9, 0, kA), kHopperA},
        {Target(10, 0, kNone), kBlackwell},
        {Target(10, 0, kA), kDatacenter},
        {Target(10, 0, kF), kDatacenter},
        {Target(10, 3, kA), kDatacenter},
        {Target(11, 0, kA), kBlackwellFp4},
        {Target(12, 0, kNone), kBlackwell},
        {Target(12, 0, kA), kBlackwellFp4},
        {Target(12, 0, kF), kBlackwellFp4},
        {Target(12, 1, kA), kBlackwellFp4},
    }};
    return kRows;
  }
};

std::span<const Target> Target::all() {
  static const auto targets = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array{TargetTable::rows()[I].target...};
  }
  (std::make_index_sequence<
      std::tuple_size_v<std::remove_cvref_t<decltype(TargetTable::rows())>>>());
  return targets;
}

std::string Target::text() const {
  constexpr const char* kSuffix[] = {"", "a", "f"};
  return fmt::format("sm_{}{}{}", major(), minor(), kSuffix[static_cast<int>(suffix_)]);
}

std::string Target::virtual_text() const { return "compute_" + text().substr(3); }

std::optional<Target> Target::try_parse(std::string_view text) noexcept {
  for (const Target& target : all()) {
    if (target.text() == text) {
      return target;
    }
  }
  return std::nullopt;
}

Target Target::parse(std::string_view text) {
  if (const auto target = try_parse(text)) {
    return *target;
  }
  std::string known;
  std::string near;
  for (const Target& target : all()) {
    known += (known.empty() ? "" : ", ") + target.text();
    // "sm_103" is most often meant to be "sm_103a": say so, but never add the suffix silently.
    if (!text.empty() && target.text().substr(0, target.text().size() - 1) == text) {
      near += (near.empty() ? "" : " or ") + target.text();
    }
  }
  throw Error(ErrorKind::invalid_spec,
              fmt::format("unknown target \"{}\"{}; known targets: {}", text,
                          near.empty() ? "" : fmt::format(" (did you mean {}?)", near), known));
}

const TargetFeatures& Target::features() const noexcept {
  for (const auto& row : TargetTable::rows()) {
    if (row.target == *this) {
      return row.features;
    }
  }
  static constexpr TargetFeatures kNothing{};
  return kNothing;
}

bool Target::runs_on(int device_major, int device_minor) const noexcept {
  switch (suffix_) {
    case TargetSuffix::architecture:
      return device_major == major() && device_minor == minor();
    case TargetSuffix::family:
    case TargetSuffix::none:
      // A family is a major version from this minor on, as far as fourge's targets go
      // (100f: 10.0 and 10.3; 120f: 12.0 and 12.1).
      return device_major == major() && device_minor >= minor();
  }
  return false;
}

std::optional<Target> Target::for_device(int major, int minor) noexcept {
  std::optional<Target> best;
  for (const Target& target : all()) {
    if (!target.runs_on(major, minor)) {
      continue;
    }
    // An exact match first (architecture before plain), then the family, then the nearest below.
    const auto rank = [](const Target& t) {
      constexpr int kRank[] = {0, 2, 1};
      return kRank[static_cast<int>(t.suffix())];
    };
    if (!best || rank(target) > rank(*best) ||
        (rank(target) == rank(*best) && target.minor() > best->minor())) {
      best = target;
    }
  }
  return best;
}

}  // namespace fourge
