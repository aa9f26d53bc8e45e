// What a search for the fastest way to do something found, as it is kept in the cache directory.
#pragma once

#include <fourge/export.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace fourge {

// Which question a record answers. Texts are single lines, not empty, of at most kTuningTextBytes.
struct TuningKey {
  std::string device;  // the model: DeviceInfo::name
  std::string
      subject;  // what was tuned: "nvfp4_quantize[in=bf16,layout=128x4]@sm_90a", "allreduce[ranks=4]"
  std::string bucket;  // of its sizes: "1024x7168"

  friend bool operator==(const TuningKey&, const TuningKey&) = default;
};

// What the answer depends on besides. If it is another now, the record is stale.
struct TuningBasis {
  int multiprocessors = 0;
  std::string made_of;  // of what was timed: a digest of version and sources

  friend bool operator==(const TuningBasis&, const TuningBasis&) = default;
};

struct TuningRecord {
  TuningKey key;
  TuningBasis basis;
  std::string choice;       // the winner: "tpc=2"
  double microseconds = 0;  // that it took; finite, not negative

  friend bool operator==(const TuningRecord&, const TuningRecord&) = default;
};

inline constexpr std::size_t kTuningTextBytes = 512;

// JSON, at most a few kilobytes. Throws Error(invalid_argument) for a record that may not be (see above).
FOURGE_API std::string encode_tuning(const TuningRecord& record);
// Exactly what encode_tuning() makes, whatever the bytes. nullopt and, in *why, what is wrong with them.
FOURGE_API std::optional<TuningRecord> parse_tuning(std::string_view text,
                                                    std::string* why = nullptr);

}  // namespace fourge
