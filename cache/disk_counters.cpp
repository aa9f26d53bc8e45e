#include "cache/disk_counters.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <map>
#include <random>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/byte_order.hpp"
#include "cache/digest.hpp"

namespace fourge::cache {

namespace {

constexpr std::uint64_t kBatchTag = 0x666f757267650000U;  // no counter's number
constexpr std::uint64_t kBatchMask = 0xffffffffffff0000U;
constexpr std::string_view kLogName = "counters";
constexpr std::string_view kFoldSuffix = ".fold";
// More than this in a batch is of a much later version, or damage.
constexpr std::uint64_t kMostInBatch = 1024;
constexpr int kReadAttempts = 4;

// What costs so much more than a note of it that it is noted at once.
constexpr std::array kRare{CounterId::compiles,         CounterId::compile_failures,
                           CounterId::replaced_holders, CounterId::heals,
                           CounterId::publish_failures, CounterId::evictions};

// What stands for a log that was put aside.
std::uint64_t id_of(const std::string& fold_name) {
  const Digest digest = sha256(fold_name);
  const auto word = load_little_endian<std::uint64_t>(std::span(digest.bytes).first<8>());
  return word == 0 ? 1 : word;  // 0: an ordinary batch
}

void add(CounterValues& sum, const CounterValues& more) {
  for (std::size_t i = 0; i < kCounterCount; ++i) sum.values[i] += more.values[i];
}

}  // namespace

const char* to_string(CounterId id) noexcept {
  static constexpr std::array<const char*, kCounterCount> kNames{"memory_hits",
                                                                 "local_hits",
                                                                 "read_only_hits",
                                                                 "bundle_hits",
                                                                 "miss_absent",
                                                                 "miss_format",
                                                                 "miss_key",
                                                                 "miss_corrupt",
                                                                 "miss_unreadable",
                                                                 "miss_untrusted",
                                                                 "miss_disabled",
                                                                 "compiles",
                                                                 "compile_failures",
                                                                 "remembered_failures",
                                                                 "waits",
                                                                 "heals",
                                                                 "publish_failures",
                                                                 "evictions",
                                                                 "bytes_written",
                                                                 "bytes_evicted",
                                                                 "compile_nanoseconds",
                                                                 "lookup_nanoseconds",
                                                                 "replaced_holders",
                                                                 "promotions",
                                                                 "promotion_failures",
                                                                 "loads",
                                                                 "wait_nanoseconds"};
  const auto number = static_cast<std::size_t>(id);
  return number < kCounterCount ? kNames[number] : "unknown";
}

bool CounterValues::empty() const noexcept {
  return std::all_of(values.begin(), values.end(), [](std::uint64_t value) { return value == 0; });
}

struct DiskCounters::Sum {
  CounterValues values;
  std::set<std::uint64_t> ids;  // of folds whose sums are in it, or are to be left out
};

struct DiskCounters::Logs {
  std::map<std::string, std::vector<Record>> by_name;
  std::map<std::string, std::set<std::uint64_t>> ids;  // of folds whose sums they hold
  std::uint64_t damaged_bytes = 0;
  std::string note;

  // Another log holds the sum of this one.
  bool counted(const std::string& name) const;
};

DiskCounters::DiskCounters(std::string root, FileSystem& files, TrustPolicy trust)
    : root_{std::move(root), trust},
      files_(files),
      log_(root_, std::string(kLogName), files),
      next_flush_(std::chrono::steady_clock::now() + kFlushInterval) {}

DiskCounters::~DiskCounters() { flush(); }

void DiskCounters::record(const CounterValues& now) noexcept {
  bool due = false;
  {
    const std::lock_guard lock(mutex_);
    const bool rare = std::any_of(kRare.begin(), kRare.end(), [&](CounterId id) {
      return now[id] > std::max(current_[id], written_[id]);
    });
    current_ = now;
    due = rare || std::chrono::steady_clock::now() >= next_flush_;
  }
  if (due) flush();
}

void DiskCounters::flush() noexcept {
  try {
    CounterValues difference;
    {
      const std::lock_guard lock(mutex_);
      next_flush_ = std::chrono::steady_clock::now() + kFlushInterval;
      for (std::size_t i = 0; i < kCounterCount; ++i) {
        // Counters are read one after another by several threads, so a later reading may be less.
        const std::uint64_t more =
            std::max(current_.values[i], written_.values[i]) - written_.values[i];
        difference.values[i] = more;
        written_.values[i] += more;
      }
    }
    if (!root_.path.empty() && !difference.empty()) write(difference);
  } catch (const std::exception&) {
    return;  // no memory: these are lost
  }
}

void DiskCounters::write(const CounterValues& difference) {
  std::vector<Record> batch{{kBatchTag, 0}, {kBatchTag + 1, 0}};
  for (std::size_t i = 0; i < kCounterCount; ++i) {
    if (difference.values[i] != 0) batch.push_back({i, difference.values[i]});
  }
  batch[1].value = batch.size() - 2;
  const IoResult<std::uint64_t> size = log_.append(batch);
  if (size.ok() && size.value > kLogBytes) fold();
  if (size.error == EINVAL || size.error == EISDIR || size.error == ELOOP) {
    static_cast<void>(log_.read());  // removes what can never be a log
  }
}

// batch = (kBatchTag: id) (kBatchTag + 1: count) records. One that is not whole counts as far as it
// goes, unless it is the sum of a fold: that file is still there then.
void DiskCounters::add_log(const std::vector<Record>& records, Sum& sum) const {
  for (std::size_t i = 0; i + 1 < records.size();) {
    if (records[i].tag != kBatchTag || records[i + 1].tag != kBatchTag + 1) {
      ++i;
      continue;
    }
    const std::uint64_t id = records[i].value;
    const std::uint64_t count = std::min(records[i + 1].value, kMostInBatch);
    i += 2;
    CounterValues values;
    std::uint64_t found = 0;
    for (; found < count && i < records.size() && (records[i].tag & kBatchMask) != kBatchTag;
         ++found, ++i) {
      if (records[i].tag < kCounterCount) values.values[records[i].tag] += records[i].value;
    }
    if (id == 0) {
      add(sum.values, values);
    } else if (found == count && sum.ids.insert(id).second) {
      add(sum.values, values);
    }
  }
}

std::vector<std::string> DiskCounters::fold_names() {
  std::vector<std::string> names;
  const FilePath directory{root_, fmt::format("{}/{}", root_.path, kUsageDirectory)};
  for (const std::string& name : files_.list_directory(directory).value) {
    if (name.starts_with(kLogName) && name.ends_with(kFoldSuffix)) names.push_back(name);
  }
  return names;
}

// All logs as they were at one time: while we read, none was put aside and none was removed.
DiskCounters::Logs DiskCounters::read_logs() {
  Logs logs;
  std::vector<std::string> names = fold_names();
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    logs = {};
    names.emplace_back(kLogName);
    for (const std::string& name : names) {
      LogContents contents = RecordLog(root_, name, files_).read();
      if (contents.error != 0 && contents.error != ENOENT) {
        logs.note = fmt::format("{}: {}", name, describe_errno(contents.error));
      }
      logs.damaged_bytes += contents.damaged_bytes;
      logs.by_name[name] = std::move(contents.records);
    }
    names.pop_back();
    std::vector<std::string> after = fold_names();
    if (after == names) break;
    names = std::move(after);
  }
  for (const auto& [name, records] : logs.by_name) {
    Sum sum;
    add_log(records, sum);
    logs.ids[name] = std::move(sum.ids);
  }
  return logs;
}

bool DiskCounters::Logs::counted(const std::string& name) const {
  const std::uint64_t id = id_of(name);
  return std::any_of(ids.begin(), ids.end(),
                     [id](const auto& item) { return item.second.count(id) != 0; });
}

CounterTotals DiskCounters::totals() {
  if (root_.path.empty()) return {};
  Logs logs = read_logs();
  Sum sum;
  for (const auto& [name, records] : logs.by_name) {
    if (!logs.counted(name)) add_log(records, sum);
  }
  if (logs.note.empty() && logs.damaged_bytes != 0) {
    logs.note =
        fmt::format("{} damaged bytes in {} were passed over", logs.damaged_bytes, log_.path());
  }
  return {sum.values, std::move(logs.note)};
}

bool DiskCounters::reset(std::string& reason) {
  if (root_.path.empty()) return true;
  const std::string directory = fmt::format("{}/{}/", root_.path, kUsageDirectory);
  std::vector<std::string> names = fold_names();
  names.emplace_back(kLogName);
  bool all = true;
  for (const std::string& name : names) {
    const IoStatus removed = files_.remove({root_, directory + name});
    if (removed.ok() || removed.error == ENOENT || removed.error == ENOTDIR) continue;
    reason = fmt::format("cannot remove {}{}: {}", directory, name, removed.reason());
    all = false;
  }
  return all;
}

// Two steps, in different calls: put the long log aside; add up those put aside long enough ago.
void DiskCounters::fold() {
  const std::string directory = fmt::format("{}/{}/", root_.path, kUsageDirectory);
  std::random_device device;
  const std::string aside =
      fmt::format("{}.{}-{:08x}{:08x}{}", kLogName, ::getpid(), device(), device(), kFoldSuffix);
  if (!files_.rename({root_, log_.path()}, {root_, directory + aside}).ok()) return;

  const Logs logs = read_logs();
  if (!logs.note.empty()) return;
  // The file of an id goes before the log that holds the id.
  for (const auto& [name, records] : logs.by_name) {
    if (name == kLogName || !logs.counted(name)) continue;
    const IoStatus removed = files_.remove({root_, directory + name});
    if (!removed.ok() && removed.error != ENOENT) return;
  }
  for (const auto& [name, records] : logs.by_name) {
    if (name == kLogName || name == aside || logs.counted(name)) continue;
    const FilePath path{root_, directory + name};
    const auto status = files_.status(path);
    const auto now = std::chrono::system_clock::now();
    if (!status.ok() ||
        (now - status.value.modified < kFoldAge && status.value.modified - now < kFoldAge)) {
      continue;
    }
    Sum sum;
    for (const auto& [other, ids] : logs.ids) {
      if (other != name) sum.ids.insert(ids.begin(), ids.end());
    }
    add_log(records, sum);
    std::vector<Record> batch{{kBatchTag, id_of(name)}, {kBatchTag + 1, kCounterCount}};
    for (std::size_t i = 0; i < kCounterCount; ++i) batch.push_back({i, sum.values.values[i]});
    if (log_.append(batch).ok()) static_cast<void>(files_.remove(path));
  }
}

}  // namespace fourge::cache
