// The parts of DiskStore that read the whole store.
#include <fmt/format.h>

#include <cerrno>
#include <exception>
#include <fourge/error.hpp>
#include <random>
#include <utility>

#include "cache/disk_store.hpp"
#include "cache/record_log.hpp"
#include "cache/store_layout.hpp"
#include "cache/temporary_name.hpp"

namespace fourge::cache {

namespace {

constexpr std::size_t kKeyDigits = 2 * Digest::kBytes;
constexpr std::size_t kKeyPosition = 17;  // in an entry's file name

// How often publishing sweeps, and how much at once: killed writers are rare.
constexpr std::uint32_t kSweepInterval = 16;
constexpr std::size_t kSweepLimit = 32;
constexpr std::uint32_t kShards = 256;

std::vector<std::string> list_or_throw(FileSystem& files, const FilePath& directory) {
  IoResult<std::vector<std::string>> listed = files.list_directory(directory);
  if (listed.error == ENOENT) return {};
  if (!listed.ok()) {
    throw Error(ErrorKind::io,
                fmt::format("cannot read the cache directory {}: {}; check that it is a directory "
                            "and yours, or choose another cache directory",
                            directory.text(), listed.reason()));
  }
  return std::move(listed.value);
}

// Of last-used stamps, sizes and counters; all of them may go at any time.
bool is_usage_name(const std::string& name) {
  const bool is_log = name == "sizes" || name.starts_with("sizes.v") || name == "counters" ||
                      name.ends_with(".used");
  return is_log || (name.starts_with("counters.") && name.ends_with(".fold"));
}

// RecordLog::replace() makes these, and may be about to rename one.
bool is_stale_usage_temporary(const std::string& name, const FileStatus& status) {
  if (!name.ends_with(".tmp")) return false;
  const auto now = std::chrono::system_clock::now();
  return now - status.modified > kStaleTemporaryAge || status.modified - now > kStaleTemporaryAge;
}

}  // namespace

// AB of the version's directory, CD of an AB.
std::vector<std::string> DiskStore::subdirectories(const std::string& directory) {
  std::vector<std::string> directories;
  for (const std::string& name : list_or_throw(files_, in_root(directory))) {
    if (!is_shard_name(name)) continue;
    std::string path = directory + '/' + name;
    const IoResult<FileStatus> status = files_.status(in_root(path));
    if (status.ok() && status.value.type == FileType::directory) {
      directories.push_back(std::move(path));
    }
  }
  return directories;
}

std::vector<DiskStore::EntryFile> DiskStore::entry_files() {
  std::vector<EntryFile> found;
  if (!enabled()) return found;
  for (const std::string& shard : subdirectories(version_directory_)) {
    for (const std::string& directory : subdirectories(shard)) {
      for (std::string& name : list_or_throw(files_, in_root(directory))) {
        if (is_entry_file_name(name)) found.push_back({directory, std::move(name)});
      }
    }
  }
  return found;
}

DiskStore::Inspection DiskStore::inspect(const EntryFile& file) {
  Inspection result;
  EntryInfo& info = result.info;
  info.path = file.directory + '/' + file.name;
  info.key_hex = file.name.substr(kKeyPosition, kKeyDigits);
  const IoResult<FileContents> contents = files_.read_file(in_root(info.path), kMaximumEntryBytes);
  if (!contents.ok()) {
    if (contents.error == ENOENT) return result;  // removed since it was listed
    Failure failure = judge_unreadable(info.path, contents);
    info.cause = failure.cause;
    info.detail = std::move(failure.detail);
    if (failure.judged) {
      info.file_bytes = failure.judged->size;
      info.modified = failure.judged->modified;
    }
    result.judged = failure.judged;
    return result;
  }
  info.file_bytes = contents.value.bytes.size();
  info.modified = contents.value.status.modified;
  ParseResult parsed = parse_entry(contents.value.bytes, nullptr);
  const bool in_place =
      parsed.entry && parsed.entry->file_name() == file.name &&
      file.directory.ends_with('/' + file.name.substr(0, 2) + '/' + file.name.substr(2, 2));
  if (in_place) {
    info.valid = true;
    info.record = std::move(parsed.entry->record);
    info.payload_bytes = parsed.entry->payload.size();
    return result;
  }
  info.cause = parsed.entry ? MissCause::key : parsed.cause;
  info.detail =
      fmt::format("{}: {}", info.path,
                  parsed.entry ? "it is the entry of key " + parsed.entry->key_hex : parsed.detail);
  result.judged = contents.value.status;
  return result;
}

std::vector<EntryInfo> DiskStore::list() {
  std::vector<EntryInfo> entries;
  for (const EntryFile& file : entry_files()) {
    EntryInfo info = inspect(file).info;
    if (info.valid || info.cause != MissCause::absent) entries.push_back(std::move(info));
  }
  return entries;
}

VerifyReport DiskStore::verify() {
  VerifyReport report;
  for (const EntryFile& file : entry_files()) {
    Inspection inspection = inspect(file);
    EntryInfo& info = inspection.info;
    if (!info.valid && info.cause == MissCause::absent) continue;
    ++report.checked;
    report.bytes += info.file_bytes;
    if (info.valid) {
      ++report.valid;
      continue;
    }
    if (inspection.judged &&
        quarantine_.set_aside(file.directory, file.name, info.cause, *inspection.judged)) {
      ++report.set_aside;
    }
    report.bad.push_back(std::move(info));
  }
  return report;
}

ClearReport DiskStore::clear() {
  ClearReport report;
  if (!enabled()) return report;
  clear_version(version_directory_, report);
  for (std::uint32_t layout = 1; layout < kStoreLayout; ++layout) {
    clear_version(fmt::format("{}/v{}", root(), layout), report);
  }
  clear_usage(report);
  return report;
}

void DiskStore::clear_version(const std::string& directory, ClearReport& report) {
  for (const std::string& shard : subdirectories(directory)) {
    for (const std::string& inner : subdirectories(shard)) clear_directory(inner, report);
    clear_directory(shard, report);  // where entries of layout 1 lie
  }
  clear_directory(directory + "/quarantine", report);
  static_cast<void>(files_.remove(in_root(directory)));  // stays if anything is in it
}

// After the entries: a size that is not known is counted anew, so those who publish meanwhile do
// not go wrong.
void DiskStore::clear_usage(ClearReport& report) {
  const std::string directory = fmt::format("{}/{}", root(), kUsageDirectory);
  for (const std::string& name : list_or_throw(files_, in_root(directory))) {
    const std::string path = directory + '/' + name;
    const IoResult<FileStatus> status = files_.status(in_root(path));
    if (!status.ok() || status.value.type != FileType::regular) continue;
    if (!is_usage_name(name) && !is_stale_usage_temporary(name, status.value)) continue;
    std::string refused = distrust(root_.trust, status.value, path);
    if (!refused.empty()) {
      report.left.push_back(std::move(refused));
      continue;
    }
    const IoStatus removed = files_.remove(in_root(path));
    if (removed.error == ENOENT) continue;
    if (!removed.ok()) {
      report.left.push_back(fmt::format("{}: {}", path, removed.reason()));
      continue;
    }
    ++report.usage_files;
    report.bytes += status.value.size;
  }
  static_cast<void>(files_.remove(in_root(directory)));  // stays if anything is in it
}

// The shard just written, and another one, so that also those that nobody writes any more have
// their turn.
void DiskStore::sweep_sometimes(const CacheKey& key) noexcept {
  const std::uint32_t number = publishes_.fetch_add(1, std::memory_order_relaxed);
  if (number % kSweepInterval != 0) return;
  try {
    sweep_temporaries(version_directory_ + '/' + key.shard());
    sweep_temporaries(
        fmt::format("{}/{:02x}", version_directory_, std::random_device()() % kShards));
  } catch (const std::exception&) {
    // Left for the next time.
  }
}

void DiskStore::sweep_temporaries(const std::string& shard) {
  const auto now = std::chrono::system_clock::now();
  std::size_t looked = 0;
  for (const std::string& inner : files_.list_directory(in_root(shard)).value) {
    if (!is_shard_name(inner)) continue;
    const std::string directory = shard + '/' + inner;
    for (const std::string& name : files_.list_directory(in_root(directory)).value) {
      if (!is_temporary_name(name)) continue;
      if (++looked > kSweepLimit) return;
      const FilePath path = in_root(directory + '/' + name);
      const auto status = files_.status(path);
      if (status.ok() && is_abandoned_temporary(name, status.value.modified, now) &&
          distrust(root_.trust, status.value, path.text()).empty()) {
        static_cast<void>(files_.remove(path));
      }
    }
  }
}

void DiskStore::clear_directory(const std::string& directory, ClearReport& report) {
  for (const std::string& name : list_or_throw(files_, in_root(directory))) {
    const bool is_entry = is_entry_file_name(name);
    const bool is_temporary = is_temporary_name(name);
    if (!is_entry && !is_temporary && !Quarantine::is_quarantine_name(name)) continue;
    const std::string path = directory + '/' + name;
    const IoResult<FileStatus> status = files_.status(in_root(path));
    if (status.error == ENOENT) continue;
    if (is_temporary && status.ok() &&
        !is_abandoned_temporary(name, status.value.modified, std::chrono::system_clock::now())) {
      continue;
    }
    if (status.ok()) {
      std::string refused = distrust(root_.trust, status.value, path);
      if (!refused.empty()) {
        report.left.push_back(std::move(refused));
        continue;
      }
    }
    const IoStatus removed = files_.remove(in_root(path));
    if (removed.error == ENOENT) continue;
    if (!removed.ok()) {
      report.left.push_back(fmt::format("{}: {}", path, removed.reason()));
      continue;
    }
    std::size_t& count =
        is_entry ? report.entries : (is_temporary ? report.temporaries : report.quarantined);
    ++count;
    if (status.ok() && status.value.type == FileType::regular) report.bytes += status.value.size;
  }
  static_cast<void>(files_.remove(in_root(directory)));  // stays if anything is in it
}

}  // namespace fourge::cache
