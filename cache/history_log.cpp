#include "cache/history_log.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <random>
#include <span>
#include <unordered_map>
#include <utility>

namespace fourge::cache {
namespace {

using Clock = std::chrono::system_clock;

constexpr std::size_t kCheckDigits = 16;
constexpr std::string_view kName = "history";
constexpr std::string_view kFoldSuffix = ".fold";

// FNV-1a, mixed so that the last bytes count for all of it.
std::uint64_t check_of(std::string_view text) {
  std::uint64_t value = 14695981039346656037U;
  for (const char c : text) {
    value = (value ^ static_cast<unsigned char>(c)) * 1099511628211U;
  }
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
  return value ^ (value >> 31U);
}

bool is_text(std::string_view text) {
  return !text.empty() && text.size() <= kHistoryTextBytes &&
         std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// False if the line is none.
bool parse_line(std::string_view line, HistoryText& found) {
  if (line.size() < kCheckDigits + 4 || line[kCheckDigits] != ' ') return false;
  const std::string_view rest = line.substr(kCheckDigits + 1);
  if (line.substr(0, kCheckDigits) != fmt::format("{:016x}", check_of(rest))) return false;
  const std::size_t blank = rest.find(' ');
  if (blank == std::string_view::npos) return false;
  std::int64_t seconds = 0;
  const char* const end = rest.data() + blank;
  const auto parsed = std::from_chars(rest.data(), end, seconds);
  constexpr std::int64_t kLatest = 4'000'000'000;
  if (parsed.ec != std::errc() || parsed.ptr != end || seconds < 0 || seconds > kLatest) {
    return false;
  }
  found.text = rest.substr(blank + 1);
  found.last = Clock::time_point(std::chrono::seconds(seconds));
  return is_text(found.text);
}

// Each text once, the newest first.
void make_set(std::vector<HistoryText>& texts) {
  std::stable_sort(texts.begin(), texts.end(), [](const HistoryText& a, const HistoryText& b) {
    return a.last != b.last ? a.last > b.last : a.text < b.text;
  });
  std::unordered_map<std::string, bool> seen;
  std::erase_if(texts,
                [&seen](const HistoryText& text) { return !seen.emplace(text.text, true).second; });
}

}  // namespace

HistoryLog::HistoryLog(std::string root, FileSystem& files, TrustPolicy trust)
    : root_{std::move(root), trust},
      directory_(fmt::format("{}/{}", root_.path, kUsageDirectory)),
      path_(fmt::format("{}/{}", directory_, kName)),
      files_(files) {}

std::string HistoryLog::line_of(std::string_view text, Clock::time_point time) {
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  const std::string rest = fmt::format("{} {}", seconds, text);
  return fmt::format("{:016x} {}\n", check_of(rest), rest);
}

HistoryContents HistoryLog::parse(std::string_view bytes) {
  HistoryContents contents;
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    HistoryText text;
    if (end != std::string_view::npos && parse_line(bytes.substr(0, end), text)) {
      contents.texts.push_back(std::move(text));
    } else if (end != 0) {
      ++contents.damaged_lines;
    }
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
  }
  make_set(contents.texts);
  return contents;
}

bool HistoryLog::append(std::string_view text) noexcept {
  try {
    return is_text(text) && checked_append(text);
  } catch (...) {
    return false;  // no memory for a line is no reason to fail
  }
}

bool HistoryLog::checked_append(std::string_view text) {
  const std::string line = line_of(text, Clock::now());
  const auto bytes = std::as_bytes(std::span(line));
  IoResult<std::uint64_t> done = files_.append_file(in_root(path_), bytes);
  if (done.error == ENOENT) {
    if (!files_.make_directories(in_root(directory_)).ok()) return false;
    done = files_.append_file(in_root(path_), bytes);
  }
  if (done.ok() && done.value > kHistoryBytes) {
    set_aside();
    fold();
  }
  return done.ok();
}

std::vector<std::string> HistoryLog::folds() {
  std::vector<std::string> found;
  const auto names = files_.list_directory(in_root(directory_), std::string(kName) + '.');
  for (const std::string& name : names.value) {
    if (name.size() > kFoldSuffix.size() &&
        std::string_view(name).substr(name.size() - kFoldSuffix.size()) == kFoldSuffix) {
      found.push_back(directory_ + '/' + name);
    }
  }
  return found;
}

// With many of them waiting the log goes instead: what is asked for will be asked for again.
void HistoryLog::set_aside() {
  if (folds().size() >= kHistoryFolds) {
    static_cast<void>(files_.remove(in_root(path_)));
    return;
  }
  std::random_device device;
  const std::string aside =
      fmt::format("{}.{}-{:08x}{:08x}{}", path_, ::getpid(), device(), device(), kFoldSuffix);
  static_cast<void>(files_.rename(in_root(path_), in_root(aside)));
}

void HistoryLog::fold() {
  for (const std::string& path : folds()) {
    const auto status = files_.status(in_root(path));
    if (!status.ok() || Clock::now() - status.value.modified < kHistoryFoldAge) continue;
    HistoryContents contents;
    add_file(path, contents);
    if (!contents.note.empty()) continue;
    make_set(contents.texts);
    std::string lines;
    for (std::size_t i = 0; i < std::min(contents.texts.size(), kHistoryTexts); ++i) {
      lines += line_of(contents.texts[i].text, contents.texts[i].last);
    }
    const auto kept = files_.append_file(in_root(path_), std::as_bytes(std::span(lines)));
    if (kept.ok()) static_cast<void>(files_.remove(in_root(path)));
  }
}

void HistoryLog::add_file(const std::string& path, HistoryContents& contents) {
  const IoResult<FileContents> file = files_.read_file(in_root(path), kMaximumLogBytes);
  if (file.error == ENOENT) return;
  if (!file.ok()) {
    contents.note = fmt::format("{}: {}", path, file.reason());
    return;
  }
  const auto& bytes = file.value.bytes;
  HistoryContents read = parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  contents.damaged_lines += read.damaged_lines;
  contents.texts.insert(contents.texts.end(), std::make_move_iterator(read.texts.begin()),
                        std::make_move_iterator(read.texts.end()));
}

HistoryContents HistoryLog::read() {
  HistoryContents contents;
  // In this order: what is folded meanwhile is in one of the two.
  for (const std::string& path : folds()) {
    add_file(path, contents);
  }
  add_file(path_, contents);
  make_set(contents.texts);
  return contents;
}

}  // namespace fourge::cache
