#include "runtime/comm/rank_record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fourge/comm.hpp>
#include <fourge/error.hpp>

namespace fourge::comm {
namespace {

[[noreturn]] void refuse(const std::string& text) {
  throw Error(ErrorKind::invalid_argument, "comm::Group: " + text);
}

template <class Record>
void throw_first_failure(std::span<const Record> records) {
  for (std::size_t rank = 0; rank < records.size(); ++rank) {
    const std::string_view failure = records[rank].failure.view();
    if (failure.empty()) continue;
    const int kind = std::clamp(records[rank].failure_kind, 0, static_cast<int>(ErrorKind::peer));
    throw Error(static_cast<ErrorKind>(kind),
                fmt::format("comm::Group: rank {}: {}", rank, failure));
  }
}

template <class Value>
void require_same(std::span<const RankRecord> records, const char* field, const Value& value) {
  for (std::size_t rank = 1; rank < records.size(); ++rank) {
    const auto first = value(records[0]);
    const auto other = value(records[rank]);
    if (first != other) {
      refuse(fmt::format("the ranks disagree: {} is {} on rank 0 and {} on rank {}", field, first,
                         other, rank));
    }
  }
}

void check_parameters(std::span<const RankRecord> records) {
  require_same(records, "ranks", [](const RankRecord& r) { return r.ranks; });
  require_same(records, "max_rows", [](const RankRecord& r) { return r.max_rows; });
  require_same(records, "cols", [](const RankRecord& r) { return r.cols; });
  require_same(records, "dtype", [](const RankRecord& r) { return r.dtype.view(); });
  require_same(records, "deadline (ms)", [](const RankRecord& r) { return r.deadline_ms; });
  require_same(records, "algorithm", [](const RankRecord& r) { return r.algorithm.view(); });
  require_same(records, "transport", [](const RankRecord& r) { return r.transport.view(); });
  require_same(records, "nccl_communicator",
               [](const RankRecord& r) { return r.communicator_given != 0 ? "given" : "none"; });
  require_same(records, "one_shot_rows", [](const RankRecord& r) { return r.one_shot_rows; });
  require_same(records, "allow_shared_devices",
               [](const RankRecord& r) { return r.shared_devices_allowed != 0; });
}

int ranks_beside(std::span<const RankRecord> records, const RankRecord& record) noexcept {
  return static_cast<int>(
      std::count_if(records.begin(), records.end(),
                    [&](const RankRecord& other) { return same_device(record, other); }));
}

void check_devices(std::span<const RankRecord> records) {
  if (const auto pair = ranks_on_one_device(records);
      pair && records[0].shared_devices_allowed == 0) {
    refuse(
        fmt::format("ranks {} and {} are on one device, {}; each rank needs its own "
                    "(GroupConfig::allow_shared_devices lets them share it, for tests)",
                    pair->first, pair->second, records[pair->first].device_name.view()));
  }
  for (std::size_t b = 0; b < records.size(); ++b) {
    const int sharing = ranks_beside(records, records[b]);
    if (sharing > 1 && launch_bound(records[b].multiprocessors, sharing) == 0) {
      refuse(
          fmt::format("{} ranks are on the device of rank {}, {}, with {} multiprocessors: their "
                      "kernels, which wait for each other, do not fit on it all at once. Put fewer "
                      "ranks on it (comm::launch_bound)",
                      sharing, b, records[b].device_name.view(), records[b].multiprocessors));
    }
    for (std::size_t a = 0; a < b; ++a) {
      if (!same_device(records[a], records[b]) || !same_process(records[a], records[b]) ||
          records[a].context == records[b].context) {
        continue;
      }
      refuse(
          fmt::format("ranks {} and {} of one process are on one device, {}, in two contexts; "
                      "kernels of two contexts do not run at once: give both one context "
                      "(GroupConfig::device takes the primary one)",
                      a, b, records[b].device_name.view()));
    }
  }
}

}  // namespace

namespace record_detail {

std::vector<std::byte> gather_bytes(
    const std::function<std::vector<std::byte>(std::span<const std::byte>)>& all_gather,
    std::span<const std::byte> mine, std::size_t rank, std::size_t ranks) {
  auto all = all_gather(mine);
  const bool whole = !all.empty() && all.size() % mine.size() == 0;
  if (!whole || (ranks != 0 && all.size() != ranks * mine.size())) {
    refuse(
        fmt::format("the all-gather gave {} bytes for {} of this rank; expected those of all {} "
                    "ranks",
                    all.size(), mine.size(), ranks));
  }
  if (rank == kUnknownRank) return all;
  const std::size_t at = rank * mine.size();
  if (at >= all.size() ||
      !std::equal(mine.begin(), mine.end(), all.begin() + static_cast<std::ptrdiff_t>(at))) {
    refuse(
        fmt::format("the all-gather's bytes number {} are not those of rank {}: it must give the "
                    "bytes of all ranks, rank 0's first",
                    rank, rank));
  }
  return all;
}

}  // namespace record_detail

void check_records(std::span<const RankRecord> records) {
  const RankRecord good;
  for (std::size_t rank = 0; rank < records.size(); ++rank) {
    const RankRecord& record = records[rank];
    if (record.magic != good.magic) {
      refuse(fmt::format("what the all-gather gave for rank {} is no record of a group", rank));
    }
  }
  require_same(records, "the version of fourge's protocol",
               [](const RankRecord& r) { return r.version; });
  throw_first_failure(records);
  check_parameters(records);
  if (static_cast<std::size_t>(records[0].ranks) != records.size()) {
    refuse(fmt::format("ranks is {}, and the all-gather gave the bytes of {}", records[0].ranks,
                       records.size()));
  }
  check_devices(records);
}

bool same_host(std::span<const RankRecord> records) noexcept {
  return std::all_of(records.begin(), records.end(), [&](const RankRecord& record) {
    return record.host.view() == records[0].host.view();
  });
}

bool same_process(const RankRecord& a, const RankRecord& b) noexcept {
  return a.host.view() == b.host.view() && a.process == b.process;
}

bool same_device(const RankRecord& a, const RankRecord& b) noexcept {
  return a.host.view() == b.host.view() && a.device_uuid == b.device_uuid;
}

std::optional<std::pair<std::size_t, std::size_t>> ranks_on_one_device(
    std::span<const RankRecord> records) noexcept {
  for (std::size_t b = 1; b < records.size(); ++b) {
    for (std::size_t a = 0; a < b; ++a) {
      if (same_device(records[a], records[b])) return std::pair(a, b);
    }
  }
  return std::nullopt;
}

int launch_multiprocessors(std::span<const RankRecord> records) noexcept {
  int fewest = std::numeric_limits<int>::max();
  for (const RankRecord& record : records) {
    fewest = std::min(fewest, launch_bound(record.multiprocessors, ranks_beside(records, record)));
  }
  return fewest;
}

void check_reports(std::span<const StepReport> reports, std::uint32_t step) {
  const StepReport good;
  for (std::size_t rank = 0; rank < reports.size(); ++rank) {
    if (reports[rank].magic != good.magic || reports[rank].step != step) {
      refuse(
          fmt::format("what the all-gather gave for rank {} is not of step {}: its calls are out "
                      "of order",
                      rank, step));
    }
  }
  throw_first_failure(reports);
}

std::string unreachable_text(std::span<const StepReport> reports) {
  for (std::size_t rank = 0; rank < reports.size(); ++rank) {
    if (reports[rank].unreachable != 0) {
      return fmt::format("rank {}: {}", rank, reports[rank].reason.view());
    }
  }
  return {};
}

}  // namespace fourge::comm
