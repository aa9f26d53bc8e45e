#include "cache/disk_store.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <exception>
#include <utility>

#include "cache/store_layout.hpp"
#include "cache/temporary_name.hpp"

namespace fourge::cache {

namespace {

// A directory that another process clears, or a name that is taken: worth another try, not many.
constexpr int kPublishAttempts = 4;

}  // namespace

LookupResult checked_entry(LookupResult found, const EntryCheck& check) {
  if (!found.entry || !check) return found;
  std::optional<EntryRefusal> refused = check(*found.entry);
  if (!refused) return found;
  LookupResult miss;
  miss.cause = refused->cause;
  miss.detail = fmt::format("{}: {}", found.entry->file_name(), refused->detail);
  return miss;
}

DiskStore::DiskStore(std::string root, FileSystem& files, TrustPolicy trust)
    : root_{std::move(root), trust},
      version_directory_(version_directory(root_.path)),
      files_(files),
      quarantine_(root_, version_directory_ + "/quarantine", files) {}

std::string DiskStore::entry_directory(const CacheKey& key) const {
  return version_directory_ + '/' + key.directory();
}

std::string DiskStore::path_of(const CacheKey& key) const {
  return entry_directory(key) + '/' + key.file_name();
}

namespace {

// No memory, no digest: the caller compiles instead.
template <class Look>
LookupResult miss_instead_of_exception(Look look) noexcept {
  LookupResult result;
  try {
    return look();
  } catch (const std::exception& error) {
    result.cause = MissCause::unreadable;
    try {
      result.detail = error.what();
    } catch (const std::exception&) {
      result.detail.clear();
    }
  }
  return result;
}

}  // namespace

LookupResult DiskStore::lookup(const CacheKey& key, const EntryCheck& check) noexcept {
  return miss_instead_of_exception([&] { return checked_lookup(key, check); });
}

LookupResult DiskStore::lookup_request(const CacheKey& key, const EntryCheck& check) noexcept {
  return miss_instead_of_exception([&] { return checked_lookup_request(key, check); });
}

LookupResult DiskStore::checked_lookup_request(const CacheKey& key, const EntryCheck& check) {
  LookupResult result;
  const std::string directory = entry_directory(key);
  const std::string request = key.request.hex();
  const auto names = files_.list_directory(in_root(directory), request.substr(0, 16));
  if (!names.refused.empty()) {
    result.cause = MissCause::untrusted;
    result.detail = names.refused;
    return result;
  }
  result.detail = "there is no entry of this request in " + directory;
  const auto pass_over = [&](MissCause cause, const std::string& name, const std::string& why) {
    if (result.cause != MissCause::absent) return;
    result.cause = cause;
    result.detail = fmt::format("{}/{}: {}", directory, name, why);
  };
  std::chrono::system_clock::time_point newest;
  for (const std::string& name : names.value) {
    if (!is_entry_file_name(name)) continue;
    const std::string path = directory + '/' + name;
    const auto file = files_.read_file(in_root(path), kMaximumEntryBytes);
    if (!file.ok()) {
      if (file.error != ENOENT) pass_over(judge_unreadable(path, file).cause, name, file.reason());
      continue;
    }
    if (result.entry && file.value.status.modified <= newest) continue;
    ParseResult parsed = parse_entry(file.value.bytes, nullptr);
    if (!parsed.entry) {
      pass_over(parsed.cause, name, parsed.detail);
    } else if (parsed.entry->file_name() != name) {
      pass_over(MissCause::key, name, "it is the entry of key " + parsed.entry->key_hex);
    } else if (parsed.entry->request_hex == request) {
      const auto refused = check ? check(*parsed.entry) : std::nullopt;
      if (refused) {
        pass_over(refused->cause, name, refused->detail);
        continue;
      }
      newest = file.value.status.modified;
      result.entry = std::move(parsed.entry);
    }
  }
  return result;
}

LookupResult DiskStore::checked_lookup(const CacheKey& key, const EntryCheck& check) {
  LookupResult result;
  if (!enabled()) {
    result.cause = MissCause::disabled;
    result.detail = "no cache directory is set";
    return result;
  }
  const std::string path = path_of(key);
  const IoResult<FileContents> file = files_.read_file(in_root(path), kMaximumEntryBytes);
  if (file.error == ENOENT) {
    result.detail = "there is no " + path;
    return result;
  }
  Failure failure;
  if (file.ok()) {
    ParseResult parsed = parse_entry(file.value.bytes, &key);
    if (parsed.entry && check) {
      if (std::optional<EntryRefusal> refused = check(*parsed.entry)) {
        parsed = {std::nullopt, refused->cause, std::move(refused->detail)};
      }
    }
    if (parsed.entry) {
      result.entry = std::move(parsed.entry);
      return result;
    }
    failure = {parsed.cause, fmt::format("{}: {}", path, parsed.detail), file.value.status};
  } else {
    failure = judge_unreadable(path, file);
  }
  result.cause = failure.cause;
  result.detail = std::move(failure.detail);
  result.set_aside = failure.judged && quarantine_.set_aside(entry_directory(key), key.file_name(),
                                                             failure.cause, *failure.judged);
  return result;
}

// A file that can never be an entry is bad; one that the system does not let us read may be good.
DiskStore::Failure DiskStore::judge_unreadable(const std::string& path,
                                               const IoResult<FileContents>& file) {
  if (!file.refused.empty()) return {MissCause::untrusted, file.refused, std::nullopt};
  Failure failure{MissCause::unreadable, fmt::format("{} cannot be read: {}", path, file.reason()),
                  std::nullopt};
  const IoResult<FileStatus> status = files_.status(in_root(path));
  if (!status.ok()) return failure;
  if (std::string refused = distrust(root_.trust, status.value, path); !refused.empty()) {
    return {MissCause::untrusted, std::move(refused), std::nullopt};
  }
  if (status.value.type != FileType::regular) {
    failure.detail = fmt::format("{} is {}, not an entry", path, to_string(status.value.type));
    failure.judged = status.value;
  } else if (file.error == EFBIG) {
    failure.cause = MissCause::corrupt;
    failure.detail = fmt::format("{} has {} bytes, more than any entry", path, status.value.size);
    failure.judged = status.value;
  }
  return failure;
}

PublishResult DiskStore::publish(const CacheKey& key, std::span<const std::byte> payload) noexcept {
  PublishResult result;
  try {
    return checked_publish(key, payload);
  } catch (const std::exception& error) {
    try {
      result.detail = error.what();
    } catch (const std::exception&) {
      result.detail.clear();
    }
  }
  return result;
}

PublishResult DiskStore::checked_publish(const CacheKey& key, std::span<const std::byte> payload) {
  const auto failed = [](const char* what, const std::string& path, const IoStatus& status) {
    return PublishResult{false, false,
                         fmt::format("cannot {} {}: {}", what, path, status.reason())};
  };
  if (!enabled()) return {false, false, "no cache directory is set"};
  const std::string encoded = encode_entry(key, payload);
  if (encoded.size() > kMaximumEntryBytes) {
    return {false, false,
            fmt::format("an entry of {} bytes is too large for the cache", encoded.size())};
  }
  const std::span<const std::byte> bytes = std::as_bytes(std::span(encoded));
  const std::string directory = entry_directory(key);
  const std::string path = path_of(key);

  if (std::string refused = untrusted_obstacle(key); !refused.empty()) {
    return {false, false, std::move(refused)};
  }
  PublishResult last;
  for (int attempt = 0; attempt < kPublishAttempts; ++attempt) {
    const std::string temporary = directory + '/' + make_temporary_name(key.file_name());
    const IoStatus written = files_.write_new_file(in_root(temporary), bytes);
    if (!written.ok()) {
      last = failed("write", temporary, written);
      if (written.error == EEXIST || written.error == ESTALE) continue;
      if (written.error != ENOENT) return last;
      const IoStatus made = files_.make_directories(in_root(directory));
      if (!made.ok()) return failed("create the directory", directory, made);
      continue;
    }
    const IoStatus renamed = files_.rename(in_root(temporary), in_root(path));
    if (renamed.ok()) {
      const IoStatus synced = files_.sync_directory(in_root(directory));
      sweep_sometimes(key);
      if (synced.ok()) return {true, false, {}};
      return {true, false, failed("sync", directory, synced).detail};
    }
    static_cast<void>(files_.remove(in_root(temporary)));
    last = failed("rename a new entry to", path, renamed);
    // Losing is success, but only if what the winner left is whole.
    const IoResult<FileContents> winner = files_.read_file(in_root(path), kMaximumEntryBytes);
    if (winner.ok() && parse_entry(winner.value.bytes, &key).entry) return {true, true, {}};
    // The temporary file or its directory was swept away meanwhile, on this host or another.
    const bool gone = renamed.error == ENOENT || renamed.error == ESTALE;
    if (!gone && !remove_obstacle(key)) return last;
  }
  return last;
}

// A rename would remove what lies in the entry's place.
std::string DiskStore::untrusted_obstacle(const CacheKey& key) {
  const std::string path = path_of(key);
  const IoResult<FileStatus> status = files_.status(in_root(path));
  if (!status.ok()) return status.refused;
  return distrust(root_.trust, status.value, path);
}

// A directory in the entry's place stops a rename, unlike a file or a link.
bool DiskStore::remove_obstacle(const CacheKey& key) {
  const IoResult<FileStatus> status = files_.status(in_root(path_of(key)));
  return status.ok() && status.value.type == FileType::directory &&
         quarantine_.set_aside(entry_directory(key), key.file_name(), MissCause::unreadable,
                               status.value);
}

}  // namespace fourge::cache
