#include "runtime/comm/tuned_algorithm.hpp"

#include <fmt/format.h>

#include <charconv>
#include <fourge/allreduce_rmsnorm_quantize.hpp>
#include <fourge/error.hpp>
#include <fourge/runtime.hpp>
#include <limits>

#include "cache/digest.hpp"
#include "runtime/comm/rank_record.hpp"
#include "runtime/tuning/tuning_store.hpp"

namespace fourge::comm {
namespace {

constexpr std::string_view kChoice = "one_shot_rows=";

// Of the kernels that were timed: another source may cross elsewhere.
std::string made_of(const CrossingQuestion& question) {
  std::string sources = fmt::format("protocol {}\n", kRecordVersion);
  for (const char* algorithm : {"one_shot", "two_shot"}) {
    sources += generate_source(KernelSpec::parse(
        fmt::format("{}[in={},ranks={},algorithm={}]", AllreduceRmsnormQuantizeArgs::kOp,
                    question.dtype, question.ranks, algorithm),
        question.target));
  }
  return cache::sha256(sources).hex();
}

TuningKey key_of(const CrossingQuestion& question) {
  return {question.device,
          fmt::format("{}[in={},ranks={}]", AllreduceRmsnormQuantizeArgs::kOp, question.dtype,
                      question.ranks),
          fmt::format("cols={}", question.cols)};
}

TuningStore store_of(const Options& options) {
  cache::TrustPolicy trust;
  if (!options.trusted_group.empty()) {
    trust.group = cache::find_group(options.trusted_group);
  }
  return TuningStore(options.cache_directory, cache::posix_file_system(), trust);
}

}  // namespace

TuningRecord crossing_record(const CrossingQuestion& question, std::int64_t one_shot_rows,
                             double microseconds) {
  return {key_of(question),
          {question.multiprocessors, made_of(question)},
          fmt::format("{}{}", kChoice, one_shot_rows),
          microseconds};
}

std::optional<std::int64_t> parse_crossing(const std::string& choice) noexcept {
  if (!choice.starts_with(kChoice)) return std::nullopt;
  std::int64_t rows = -1;
  const char* const end = choice.data() + choice.size();
  const auto result = std::from_chars(choice.data() + kChoice.size(), end, rows);
  const bool good = result.ec == std::errc() && result.ptr == end && rows >= 0 &&
                    rows <= std::numeric_limits<std::int32_t>::max();
  return good ? std::optional(rows) : std::nullopt;
}

std::optional<std::int64_t> find_crossing(const Options& options,
                                          const CrossingQuestion& question) {
  if (options.cache_directory.empty()) return std::nullopt;
  const TuningStore store = store_of(options);
  const TuningKey key = key_of(question);
  const TuningAnswer answer = store.find(key, {question.multiprocessors, made_of(question)});
  std::string warning = answer.warning;
  std::optional<std::int64_t> rows;
  if (answer.record) {
    rows = parse_crossing(answer.record->choice);
    if (!rows) {
      warning = fmt::format("the tuning record {} is not used: \"{}\" is no choice for {}",
                            store.path_of(key), answer.record->choice, key.subject);
    }
  }
  if (!warning.empty() && options.log) options.log(LogLevel::warn, warning);
  return rows;
}

void keep_crossing(const Options& options, const CrossingQuestion& question,
                   std::int64_t one_shot_rows, double microseconds) {
  store_of(options).keep(crossing_record(question, one_shot_rows, microseconds));
}

}  // namespace fourge::comm
