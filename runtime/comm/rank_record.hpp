// What each rank says of itself when a group is made, and what follows from what all of them said. Everything
// here depends on the records alone, so that all ranks come to the same result and throw the same error.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "runtime/comm/identity.hpp"

namespace fourge::comm {

// A text of bounded length that can travel as bytes. What is too long is cut.
template <std::size_t kBytes>
struct Text {
  std::array<char, kBytes> bytes{};

  void set(std::string_view text) noexcept { text.copy(bytes.data(), kBytes - 1); }
  std::string_view view() const noexcept {
    const std::string_view all(bytes.data(), kBytes);
    return all.substr(0, all.find('\0'));
  }
};

// Raised when the records, the workspace or the protocol change.
inline constexpr std::uint32_t kRecordVersion = 2;

struct RankRecord {
  std::uint32_t magic = 0x6667434f;
  std::uint32_t version = kRecordVersion;
  std::int32_t rank = 0;
  std::int32_t ranks = 0;
  // These must be the same everywhere.
  std::int64_t max_rows = 0;
  std::int64_t cols = 0;
  std::int64_t one_shot_rows = 0;  // as configured
  std::int64_t deadline_ms = 0;
  Text<16> dtype;
  Text<16> algorithm;
  Text<16> transport;
  std::int32_t communicator_given = 0;
  std::int32_t shared_devices_allowed = 0;
  // These tell who it is.
  ProcessIdentity process;
  std::uint64_t context = 0;  // of its device; means something in its process only
  std::array<unsigned char, 16> device_uuid{};
  Text<64> device_name;
  Text<96> host;
  // Where the algorithms cross on its device, measured or not. What rank 0 has counts, for all.
  std::int64_t crossing_rows = 0;
  std::int32_t multiprocessors = 0;  // of its device
  // Why it cannot take part; empty if it can.
  std::int32_t failure_kind = 0;
  Text<512> failure;
};
static_assert(std::is_trivially_copyable_v<RankRecord>);

// Throws Error(invalid_argument) that names the field, a rank and both values if the ranks disagree, if two
// have one device and may not, or do not fit on it, or if bytes are missing; what a rank failed with, if one
// did.
void check_records(std::span<const RankRecord> records);

bool same_host(std::span<const RankRecord> records) noexcept;
bool same_process(const RankRecord& a, const RankRecord& b) noexcept;
bool same_device(const RankRecord& a, const RankRecord& b) noexcept;
// Two ranks on one device, the first pair.
std::optional<std::pair<std::size_t, std::size_t>> ranks_on_one_device(
    std::span<const RankRecord> records) noexcept;
// For how many multiprocessors launches are made, on all ranks alike: the least launch_bound().
int launch_multiprocessors(std::span<const RankRecord> records) noexcept;

// A step of making a group: whether it went well on a rank.
struct StepReport {
  std::uint32_t magic = 0x66675354;
  std::uint32_t step = 0;
  std::uint64_t unreachable = 0;  // bit r: this rank cannot use rank r's memory
  Text<512> reason;               // why the first of these
  std::int32_t failure_kind = 0;
  Text<512> failure;  // empty: all is well
  std::array<std::byte, 192> payload{};
};
static_assert(std::is_trivially_copyable_v<StepReport>);

// Throws the first failure, of its kind, naming the rank.
void check_reports(std::span<const StepReport> reports, std::uint32_t step);

// The first rank that cannot use another's memory, in words; empty if all can.
std::string unreachable_text(std::span<const StepReport> reports);

inline constexpr std::size_t kUnknownRank = std::numeric_limits<std::size_t>::max();

// The bytes of all ranks as records. Throws Error(invalid_argument) if they are none, not so many, or not
// this rank's where its own should be (kUnknownRank: not looked at). With ranks = 0 their number follows
// from the bytes.
template <class Record>
std::vector<Record> gather_records(
    const std::function<std::vector<std::byte>(std::span<const std::byte>)>& all_gather,
    const Record& mine, std::size_t rank, std::size_t ranks);

namespace record_detail {
std::vector<std::byte> gather_bytes(
    const std::function<std::vector<std::byte>(std::span<const std::byte>)>& all_gather,
    std::span<const std::byte> mine, std::size_t rank, std::size_t ranks);
}  // namespace record_detail

template <class Record>
std::vector<Record> gather_records(
    const std::function<std::vector<std::byte>(std::span<const std::byte>)>& all_gather,
    const Record& mine, std::size_t rank, std::size_t ranks) {
  static_assert(std::is_trivially_copyable_v<Record>);
  const auto bytes =
      record_detail::gather_bytes(all_gather, std::as_bytes(std::span(&mine, 1)), rank, ranks);
  std::vector<Record> records(bytes.size() / sizeof(Record));
  std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span(records)).begin());
  return records;
}

}  // namespace fourge::comm
