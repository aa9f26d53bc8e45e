#include "runtime/tuning/tuning_store.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <span>
#include <tuple>
#include <utility>

#include "cache/digest.hpp"
#include "cache/temporary_name.hpp"

namespace fourge {
namespace {

constexpr std::string_view kSuffix = ".tuned";
constexpr std::string_view kTemporarySuffix = ".tmp";
constexpr std::size_t kMaximumFileBytes = 16U << 10U;

std::string_view text_of(const cache::FileContents& contents) {
  return {reinterpret_cast<const char*>(contents.bytes.data()), contents.bytes.size()};
}

// Empty if the record answers the question.
std::string objection(const TuningRecord& record, const TuningKey& key, const TuningBasis& basis) {
  if (record.key != key) {
    return fmt::format("it is of {} of {} on {}", record.key.bucket, record.key.subject,
                       record.key.device);
  }
  if (record.basis.multiprocessors != basis.multiprocessors) {
    return fmt::format("it is of a device with {} multiprocessors, and this one has {}",
                       record.basis.multiprocessors, basis.multiprocessors);
  }
  if (record.basis.made_of != basis.made_of) return "it is of another version of the kernels";
  return {};
}

}  // namespace

TuningStore::TuningStore(std::string root, cache::FileSystem& files, cache::TrustPolicy trust,
                         std::size_t most)
    : root_{std::move(root), trust},
      directory_(root_.path + "/tuned-v1"),
      files_(files),
      most_(most) {}

std::string TuningStore::path_of(const TuningKey& key) const {
  const std::string text = fmt::format("{}\n{}\n{}", key.device, key.subject, key.bucket);
  return fmt::format("{}/{}{}", directory_, cache::sha256(text).hex(), kSuffix);
}

TuningAnswer TuningStore::find(const TuningKey& key, const TuningBasis& basis) const {
  return find(key, [&basis] { return basis; });
}

TuningAnswer TuningStore::find(const TuningKey& key,
                               const std::function<TuningBasis()>& basis) const {
  if (root_.path.empty()) return {};
  const std::string path = path_of(key);
  const auto ignored = [&path](const std::string& why) {
    return TuningAnswer{
        std::nullopt,
        fmt::format("the tuning record {} is not used: {}; run `fourge tune` again", path, why)};
  };
  const auto file = files_.read_file(in_root(path), kMaximumFileBytes);
  if (file.error == ENOENT) return {};
  if (!file.ok()) return ignored(file.reason());
  std::string why;
  auto record = parse_tuning(text_of(file.value), &why);
  if (record) why = objection(*record, key, basis());
  if (!why.empty()) return ignored(why);
  return {std::move(record), {}};
}

void TuningStore::keep(const TuningRecord& record) {
  if (root_.path.empty()) {
    throw Error(ErrorKind::invalid_argument,
                "a tuning record needs a cache directory to be kept in; name one");
  }
  const std::string text = encode_tuning(record);
  const std::string path = path_of(record.key);
  const cache::FilePath temporary = in_root(cache::make_temporary_name(path));
  const auto check = [&path](const cache::IoStatus& status) {
    if (!status.ok()) {
      throw Error(ErrorKind::io,
                  fmt::format("the tuning record {} cannot be written: {}", path, status.reason()));
    }
  };
  check(files_.make_directories(in_root(directory_)));
  check(files_.write_new_file(temporary, std::as_bytes(std::span(text.data(), text.size()))));
  const cache::IoStatus renamed = files_.rename(temporary, in_root(path));
  if (!renamed.ok()) static_cast<void>(files_.remove(temporary));
  check(renamed);
  prune();
}

std::vector<TuningRecord> TuningStore::list() const {
  std::vector<TuningRecord> records;
  if (root_.path.empty()) return records;
  const auto names = files_.list_directory(in_root(directory_));
  if (names.error == ENOENT) return records;
  if (!names.ok()) {
    throw Error(ErrorKind::io, fmt::format("{} cannot be read: {}", directory_, names.reason()));
  }
  for (const std::string& name : names.value) {
    if (!name.ends_with(kSuffix)) continue;
    const auto file = files_.read_file(in_root(directory_ + '/' + name), kMaximumFileBytes);
    if (!file.ok()) continue;
    if (auto record = parse_tuning(text_of(file.value))) records.push_back(std::move(*record));
  }
  const auto order = [](const TuningRecord& r) {
    return std::tie(r.key.subject, r.key.bucket, r.key.device);
  };
  std::sort(records.begin(), records.end(),
            [&](const TuningRecord& a, const TuningRecord& b) { return order(a) < order(b); });
  return records;
}

// The oldest go, and what writers left that died.
void TuningStore::prune() {
  struct Item {
    std::string path;
    cache::FileStatus status;
  };
  std::vector<Item> items;
  const auto names = files_.list_directory(in_root(directory_));
  if (!names.ok()) return;
  const auto now = std::chrono::system_clock::now();
  for (const std::string& name : names.value) {
    const bool temporary = name.ends_with(kTemporarySuffix);
    if (!temporary && !name.ends_with(kSuffix)) continue;
    const std::string path = directory_ + '/' + name;
    const auto status = files_.status(in_root(path));
    if (!status.ok()) continue;
    if (!temporary) {
      items.push_back({path, status.value});
    } else if (const auto age = now - status.value.modified;
               age > cache::kStaleTemporaryAge || age < -cache::kStaleTemporaryAge) {
      static_cast<void>(files_.remove(in_root(path)));
    }
  }
  if (items.size() <= most_) return;
  std::sort(items.begin(), items.end(),
            [](const Item& a, const Item& b) { return a.status.modified > b.status.modified; });
  for (std::size_t i = most_; i < items.size(); ++i) {
    static_cast<void>(files_.remove(in_root(items[i].path)));
  }
}

}  // namespace fourge
