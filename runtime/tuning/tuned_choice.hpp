// Launch configurations that `fourge tune` found: what they are called in records, and which one a Runtime
// takes for a call.
#pragma once

#include <fourge/export.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/launch_choice.hpp>
#include <fourge/op_registry.hpp>
#include <fourge/options.hpp>

#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "runtime/tuning/tuning_store.hpp"

namespace fourge {

// Calls that share a record: rows up to the next power of two, the same columns. "1024x7168"
FOURGE_API std::string tuning_bucket(const CallShape& shape);
// For all variants with the spec's results: the spec without the axes that change no results.
FOURGE_API TuningKey tuning_key(const KernelSpec& spec, const CallShape& shape,
                                std::string_view device_name);
// Digests the sources of those variants, and fourge's version. Takes milliseconds.
FOURGE_API TuningBasis tuning_basis(const KernelSpec& spec, int multiprocessors,
                                    const OpRegistry& ops);
// The values of those axes: "tpc=2". Empty if the operation has none.
FOURGE_API std::string tuning_choice(const KernelSpec& spec);
// The spec with such values; nullopt if the text names none of launch_candidates().
FOURGE_API std::optional<KernelSpec> with_tuning_choice(const KernelSpec& spec,
                                                        std::string_view choice,
                                                        const CallShape& shape);

// Thread-safe. Each question's record is read once, so that a bad one is told of once.
class TunedChoices {
 public:
  using Warn = std::function<void(std::string_view)>;

  TunedChoices(std::string cache_directory, cache::TrustPolicy trust, const OpRegistry& ops);

  // The record's variant if there is one that is good for this device and call, else choose_launch()'s.
  KernelSpec choose(const KernelSpec& spec, const CallShape& shape, std::string_view device_name,
                    int multiprocessors, const Warn& warn);

 private:
  // Of the records that were read; more are forgotten and read again.
  static constexpr std::size_t kMostKnown = 4096;

  // Under the lock; what is to be told is told after it.
  std::optional<KernelSpec> find(const KernelSpec& spec, const CallShape& shape,
                                 const TuningKey& key, int multiprocessors, std::string& warning);

  TuningStore store_;
  const OpRegistry& ops_;
  std::mutex mutex_;
  // By device, multiprocessors, subject and bucket: the choice, if there is one.
  std::unordered_map<std::string, std::optional<std::string>> known_;
};

}  // namespace fourge
