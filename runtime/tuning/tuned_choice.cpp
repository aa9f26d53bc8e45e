#include "runtime/tuning/tuned_choice.hpp"

#include <fourge/runtime.hpp>

#include <fmt/format.h>
#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>

#include "cache/digest.hpp"

namespace fourge {
namespace {

bool changes_results(const Axis& axis) { return axis.general.empty(); }

// The axes of one kind and their values: "a=1,b=2".
std::string values_of(const KernelSpec& spec, bool of_results) {
  std::string text;
  for (std::size_t i = 0; i < spec.op().axes.size(); ++i) {
    const Axis& axis = spec.op().axes[i];
    if (changes_results(axis) == of_results) {
      text += fmt::format("{}{}={}", text.empty() ? "" : ",", axis.name,
                          axis.values[spec.index(i)].text);
    }
  }
  return text;
}

}  // namespace

std::string tuning_bucket(const CallShape& shape) {
  constexpr std::int64_t kMost = std::int64_t{1} << 62;
  const std::int64_t rows = std::clamp<std::int64_t>(shape.rows, 1, kMost);
  return fmt::format("{}x{}", std::bit_ceil(static_cast<std::uint64_t>(rows)), shape.cols);
}

TuningKey tuning_key(const KernelSpec& spec, const CallShape& shape, std::string_view device_name) {
  return {std::string(device_name),
          fmt::format("{}[{}]@{}", spec.op().name, values_of(spec, true), spec.target().text()),
          tuning_bucket(shape)};
}

TuningBasis tuning_basis(const KernelSpec& spec, int multiprocessors, const OpRegistry& ops) {
  cache::Sha256 digest;
  digest.update(FOURGE_VERSION);
  for (const KernelSpec& variant : launch_candidates(spec)) {
    digest.update("\n").update(generate_source(variant, ops));
  }
  return {multiprocessors, digest.finish().hex()};
}

std::string tuning_choice(const KernelSpec& spec) { return values_of(spec, false); }

std::optional<KernelSpec> with_tuning_choice(const KernelSpec& spec, std::string_view choice,
                                             const CallShape& shape) {
  for (const KernelSpec& variant : launch_candidates(spec, shape)) {
    if (tuning_choice(variant) == choice) return variant;
  }
  return std::nullopt;
}

TunedChoices::TunedChoices(std::string cache_directory, cache::TrustPolicy trust,
                           const OpRegistry& ops)
    : store_(std::move(cache_directory), cache::posix_file_system(), trust), ops_(ops) {}

std::optional<KernelSpec> TunedChoices::find(const KernelSpec& spec, const CallShape& shape,
                                             const TuningKey& key, int multiprocessors,
                                             std::string& warning) {
  const std::string question =
      fmt::format("{}\n{}\n{}\n{}", key.device, multiprocessors, key.subject, key.bucket);
  const std::lock_guard lock(mutex_);
  auto known = known_.find(question);
  if (known == known_.end()) {
    if (known_.size() >= kMostKnown) known_.clear();
    TuningAnswer answer =
        store_.find(key, [&] { return tuning_basis(spec, multiprocessors, ops_); });
    warning = std::move(answer.warning);
    std::optional<std::string> choice;
    if (answer.record) choice = std::move(answer.record->choice);
    known = known_.emplace(question, std::move(choice)).first;
  }
  if (!known->second) return std::nullopt;
  auto tuned = with_tuning_choice(spec, *known->second, shape);
  if (!tuned) {
    warning = fmt::format(
        "the tuning record of {} for {} says \"{}\", which is no variant for {} rows of {} "
        "columns, and "
        "is not used; run `fourge tune` again",
        key.subject, key.bucket, *known->second, shape.rows, shape.cols);
    known->second.reset();
  }
  return tuned;
}

KernelSpec TunedChoices::choose(const KernelSpec& spec, const CallShape& shape,
                                std::string_view device_name, int multiprocessors,
                                const Warn& warn) {
  std::string warning;
  const std::optional<KernelSpec> tuned =
      find(spec, shape, tuning_key(spec, shape, device_name), multiprocessors, warning);
  if (!warning.empty()) warn(warning);
  return tuned ? *tuned : choose_launch(spec, shape, DeviceFacts{multiprocessors});
}

}  // namespace fourge
