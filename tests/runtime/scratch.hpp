// A directory of a test's own, and Options that stay inside it.
#pragma once

#include <fourge/options.hpp>

#include <unistd.h>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

namespace fourge::tests {

class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fourge-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
    std::filesystem::create_directory(path_ + "/run");
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::string& path() const { return path_; }
  std::string cache() const { return path_ + "/cache"; }

  // This machine's NVRTC, a cache and locks below this directory.
  Options options() const {
    Options options = Options::from_environment();
    options.cache_directory = cache();
    options.runtime_directory = path_ + "/run";
    options.worker_program.clear();  // whatever is installed here
    return options;
  }

  std::vector<std::filesystem::path> files(const std::string& extension) const {
    std::vector<std::filesystem::path> found;
    if (!std::filesystem::exists(cache())) {
      return found;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(cache())) {
      if (entry.is_regular_file() && entry.path().extension() == extension &&
          entry.path().string().find("quarantine") == std::string::npos) {
        found.push_back(entry.path());
      }
    }
    return found;
  }

 private:
  std::string path_;
};

// Collects what a Runtime logs.
class LogLines {
 public:
  std::function<void(LogLevel, std::string_view)> sink() {
    return [this](LogLevel level, std::string_view text) {
      const std::lock_guard lock(mutex_);
      lines_.emplace_back(level, std::string(text));
    };
  }
  std::size_t count(LogLevel level) const {
    const std::lock_guard lock(mutex_);
    std::size_t n = 0;
    for (const auto& line : lines_) {
      n += line.first == level ? 1 : 0;
    }
    return n;
  }
  std::string all() const {
    const std::lock_guard lock(mutex_);
    std::string text;
    for (const auto& line : lines_) {
      text += line.second + '\n';
    }
    return text;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::pair<LogLevel, std::string>> lines_;
};

}  // namespace fourge::tests
