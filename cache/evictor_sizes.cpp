// What an Evictor knows about the size of each shard.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "cache/entry.hpp"
#include "cache/evictor.hpp"
#include "cache/store_layout.hpp"

namespace fourge::cache {

namespace {

constexpr int kSettleAttempts = 8;

}  // namespace

std::string Evictor::shard_name(std::size_t shard) { return fmt::format("{:02x}", shard); }

std::optional<std::size_t> Evictor::shard_number(const std::string& name) {
  if (!is_shard_name(name)) return std::nullopt;
  std::size_t number = 0;
  std::from_chars(name.data(), name.data() + name.size(), number, 16);
  return number;
}

std::string Evictor::shard_directory(std::size_t shard) const {
  return version_directory(root_.path) + '/' + shard_name(shard);
}

// Who writes a size last has counted after that, so no publish by another process is forgotten.
std::optional<std::uint64_t> Evictor::settle_shard(std::size_t shard) {
  std::optional<std::uint64_t> written;
  for (int attempt = 0; attempt < kSettleAttempts; ++attempt) {
    std::uint64_t bytes = 0;
    if (!count_shard(shard, bytes)) return written;
    if (written == bytes) break;
    written = bytes;
    {
      const std::lock_guard lock(mutex_);
      counted_[shard] = bytes;
    }
    if (!sizes_.append({{shard, bytes}}).ok()) break;
  }
  return written;
}

bool Evictor::count_shard(std::size_t shard, std::uint64_t& bytes) {
  bytes = 0;
  std::string ignored;
  return visit_shard(
      shard,
      [&](const std::string&, const std::string&, const FileStatus& status) {
        bytes += status.size;
      },
      ignored);
}

// Calls take for every entry's file. False, and why, if a directory that is there cannot be listed.
bool Evictor::visit_shard(std::size_t shard, const TakeEntry& take, std::string& detail) {
  bool all = true;
  const auto list = [&](const std::string& directory) {
    auto names = files_.list_directory({root_, directory});
    if (!names.ok() && names.error != ENOENT && names.error != ENOTDIR) {
      detail = fmt::format("cannot list {}: {}", directory, names.reason());
      all = false;
    }
    return std::move(names.value);
  };
  const std::string directory = shard_directory(shard);
  for (const std::string& inner : list(directory)) {
    if (!is_shard_name(inner)) continue;
    for (const std::string& name : list(directory + '/' + inner)) {
      if (!is_entry_file_name(name)) continue;
      const std::string path = fmt::format("{}/{}/{}", directory, inner, name);
      const auto status = files_.status({root_, path});
      if (status.ok() && status.value.type == FileType::regular) take(path, name, status.value);
    }
  }
  return all;
}

// The last word on each shard; a first guess counts only where there is none.
Evictor::Sizes Evictor::read_sizes() {
  Sizes sizes;
  const LogContents log = sizes_.read();
  sizes.log_bytes = log.bytes;
  std::array<std::optional<std::uint64_t>, kShards> guesses;
  for (const Record& record : log.records) {
    if (record.tag < kShards) {
      sizes.bytes[record.tag] = record.value;
    } else if (record.tag < 2 * kShards) {
      guesses[record.tag - kShards] = record.value;
    }
  }
  const std::lock_guard lock(mutex_);
  for (std::size_t shard = 0; shard < kShards; ++shard) {
    std::optional<std::uint64_t>& bytes = sizes.bytes[shard];
    if (!bytes) bytes = guesses[shard];
    const auto counted = counted_.find(shard);
    if (!bytes && counted != counted_.end()) bytes = counted->second;
  }
  return sizes;
}

// What is known, and what must be counted now because nobody has.
std::uint64_t Evictor::total_bytes() {
  Sizes sizes = read_sizes();
  if (std::count(sizes.bytes.begin(), sizes.bytes.end(), std::nullopt) != 0) {
    const auto shards = files_.list_directory({root_, version_directory(root_.path)});
    for (const std::string& name : shards.value) {
      const auto shard = shard_number(name);
      std::uint64_t bytes = 0;
      if (shard && !sizes.bytes[*shard] && count_shard(*shard, bytes)) sizes.bytes[*shard] = bytes;
    }
    std::vector<Record> guesses;
    for (std::size_t shard = 0; shards.ok() && shard < kShards; ++shard) {
      guesses.push_back({kShards + shard, sizes.bytes[shard].value_or(0)});
    }
    if (!guesses.empty()) static_cast<void>(sizes_.append(guesses));
  }
  std::uint64_t total = 0;
  for (const auto& bytes : sizes.bytes) {
    const std::uint64_t sum = total + bytes.value_or(0);
    total = sum < total ? ~std::uint64_t{0} : sum;
  }
  return total;
}

void Evictor::compact_sizes() {
  std::vector<Record> records;
  const Sizes sizes = read_sizes();
  for (std::size_t shard = 0; shard < kShards; ++shard) {
    if (sizes.bytes[shard]) records.push_back({shard, *sizes.bytes[shard]});
  }
  static_cast<void>(sizes_.replace(records));
}

}  // namespace fourge::cache
