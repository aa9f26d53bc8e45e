#include "cache/quarantine.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace fourge::cache {

namespace {

constexpr std::size_t kTimeDigits = 20;
// Of one quarantined thing, in one call.
constexpr std::size_t kPruneRemovals = 1000;
constexpr int kPruneDepth = 8;

bool all_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string time_digits() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  const auto time = std::chrono::duration_cast<std::chrono::nanoseconds>(since_1970).count();
  return fmt::format("{:020}", std::max<std::int64_t>(time, 0));
}

// Takes the text before the next dot, and the dot.
std::string_view take_part(std::string_view& text) {
  const std::size_t dot = text.find('.');
  const std::string_view part = text.substr(0, dot);
  text.remove_prefix(dot == std::string_view::npos ? text.size() : dot + 1);
  return part;
}

}  // namespace

Quarantine::Quarantine(const Root& root, std::string directory, FileSystem& files)
    : root_(root), directory_(std::move(directory)), files_(files) {}

bool Quarantine::set_aside(const std::string& directory, const std::string& name, MissCause cause,
                           const FileStatus& judged) {
  const FilePath path = in_root(directory + '/' + name);
  if (!files_.make_directories(in_root(directory_)).ok()) return false;
  const IoResult<FileStatus> before = files_.status(path);
  if (!before.ok() || !before.value.same_file(judged)) return false;
  const FilePath target = in_root(directory_ + '/' + make_name(name, cause));
  if (!files_.rename(path, target).ok()) return false;
  // Between the look and the move another process may have healed the entry: give its file back.
  const IoResult<FileStatus> after = files_.status(target);
  if (after.ok() && !after.value.same_file(judged)) {
    if (!files_.rename(target, path).ok()) static_cast<void>(files_.remove(target));
    return false;
  }
  prune();
  return true;
}

std::string Quarantine::make_name(const std::string& name, MissCause cause) {
  return fmt::format("{}.{}.{}.{}.{}", time_digits(), ::getpid(),
                     counter_.fetch_add(1, std::memory_order_relaxed), to_string(cause), name);
}

bool Quarantine::is_quarantine_name(std::string_view name) noexcept {
  const std::string_view time = take_part(name);
  const std::string_view pid = take_part(name);
  const std::string_view number = take_part(name);
  const std::string_view cause = take_part(name);
  return time.size() == kTimeDigits && all_digits(time) && all_digits(pid) && all_digits(number) &&
         !cause.empty() && is_entry_file_name(name);
}

void Quarantine::prune() {
  IoResult<std::vector<std::string>> listed = files_.list_directory(in_root(directory_));
  if (!listed.ok()) return;
  std::vector<std::string>& names = listed.value;  // sorted, that is by time
  names.erase(std::remove_if(names.begin(), names.end(),
                             [](const std::string& name) { return !is_quarantine_name(name); }),
              names.end());
  // Names of a time to come, from before the clock was set back, count as the oldest: else they
  // would drive out all that comes now.
  const std::string now = time_digits();
  std::rotate(names.begin(), std::upper_bound(names.begin(), names.end(), now + '/'), names.end());
  std::size_t kept = 0;
  std::uint64_t bytes = 0;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    const FilePath path = in_root(directory_ + '/' + *name);
    const IoResult<FileStatus> status = files_.status(path);
    if (!status.ok()) continue;
    bytes += status.value.size;
    if (++kept <= kQuarantineLimit && bytes <= kQuarantineBytes) continue;
    std::size_t removals = kPruneRemovals;
    discard(path, status.value, kPruneDepth, removals);
  }
}

// Also a directory that somebody filled, or such would pile up. What is not trusted, or too much for
// one call, stays.
void Quarantine::discard(const FilePath& path, const FileStatus& status, int depth,
                         std::size_t& removals) {
  if (removals == 0 || !distrust(root_.trust, status, path.text()).empty()) return;
  --removals;
  const IoStatus removed = files_.remove(path);
  if (removed.ok() || status.type != FileType::directory || depth == 0) return;
  const IoResult<std::vector<std::string>> inner = files_.list_directory(path);
  for (const std::string& name : inner.value) {
    const FilePath child = in_root(path.text() + '/' + name);
    const IoResult<FileStatus> found = files_.status(child);
    if (found.ok()) discard(child, found.value, depth - 1, removals);
  }
  static_cast<void>(files_.remove(path));
}

}  // namespace fourge::cache
