// Where one-shot and two-shot were found to cross on this kind of device, as `fourge tune allreduce` keeps it in
// the cache directory (runtime/tuning/).
#pragma once

#include <fourge/export.hpp>
#include <fourge/options.hpp>
#include <fourge/target.hpp>

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/tuning/tuning_record.hpp"

namespace fourge::comm {

struct CrossingQuestion {
  std::string device;  // its name
  int multiprocessors = 0;
  Target target;
  int ranks = 0;
  std::int64_t cols = 0;
  std::string dtype;
};

// The record that answers it; the choice is "one_shot_rows=N".
TuningRecord crossing_record(const CrossingQuestion& question, std::int64_t one_shot_rows,
                             double microseconds);
std::optional<std::int64_t> parse_crossing(const std::string& choice) noexcept;

// None if nothing was kept, or what was is stale, damaged or no number of rows: then with a warning to
// options.log. Never throws for what is in the directory.
std::optional<std::int64_t> find_crossing(const Options& options, const CrossingQuestion& question);
// Throws Error(io), Error(invalid_argument) without a cache directory.
FOURGE_API void keep_crossing(const Options& options, const CrossingQuestion& question,
                              std::int64_t one_shot_rows, double microseconds);

}  // namespace fourge::comm
