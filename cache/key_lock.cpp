#include "cache/key_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

#include "cache/file_system.hpp"

namespace fourge::cache {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kFirstPause{10};
constexpr std::chrono::milliseconds kLongestPause{25};
// The file is exchanged under us only when holders come and go; this often in a row means something
// else.
constexpr int kReopenLimit = 1000;

int open_retrying(int directory, const char* path, int flags) {
  int descriptor = ::openat(directory, path, flags, 0600);
  while (descriptor < 0 && errno == EINTR) descriptor = ::openat(directory, path, flags, 0600);
  return descriptor;
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

// One wait for one lock.
class KeyLockAttempt {
 public:
  KeyLockAttempt(const std::string& directory, const CacheKey& key)
      : directory_path_(directory), name_(key.full.hex() + ".lock") {}

  enum class Step { locked, busy, exchanged, failed };

  // Opens the directory and the lock file afresh.
  bool open() {
    if (directory_path_.empty()) return fail("no lock directory is given");
    if (::mkdir(directory_path_.c_str(), 0700) != 0 && errno != EEXIST) {
      return fail(describe("cannot be created"));
    }
    directory_ = FileDescriptor(open_retrying(AT_FDCWD, directory_path_.c_str(),
                                              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat data {};
    if (!directory_.valid() || ::fstat(directory_.get(), &data) != 0) {
      return fail(describe("cannot be opened"));
    }
    if (data.st_uid != ::geteuid() || (data.st_mode & 0022U) != 0) {
      return fail(fmt::format(
          "the lock directory {} has owner {} and mode {:04o}; it must be yours and writable by "
          "nobody else (chmod 700, or set another runtime directory)",
          directory_path_, data.st_uid, data.st_mode & 07777U));
    }
    file_ = FileDescriptor(open_retrying(directory_.get(), name_.c_str(),
                                         O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    if (!file_.valid() || ::fstat(file_.get(), &data) != 0) {
      return fail(describe("takes no lock file"));
    }
    if (!S_ISREG(data.st_mode)) return fail(directory_path_ + '/' + name_ + " is no regular file");
    return true;
  }

  Step step() {
    int result = ::flock(file_.get(), LOCK_EX | LOCK_NB);
    while (result != 0 && errno == EINTR) result = ::flock(file_.get(), LOCK_EX | LOCK_NB);
    if (result != 0) {
      if (errno == EWOULDBLOCK) return Step::busy;
      fail(describe("does not support locks"));
      return Step::failed;
    }
    struct stat held {};
    struct stat named {};
    const bool current =
        ::fstat(file_.get(), &held) == 0 &&
        ::fstatat(directory_.get(), name_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
        same_file(held, named);
    return current ? Step::locked : Step::exchanged;
  }

  KeyLock take() { return {std::move(directory_), std::move(file_), name_}; }
  const std::string& detail() const { return detail_; }

 private:
  bool fail(std::string detail) {
    detail_ = std::move(detail);
    return false;
  }

  std::string describe(const char* what) const {
    const int error = errno;
    return fmt::format("the lock directory {} {}: {}", directory_path_, what,
                       describe_errno(error));
  }

  std::string directory_path_;
  std::string name_;
  FileDescriptor directory_;
  FileDescriptor file_;
  std::string detail_;
};

const char* to_string(LockOutcome outcome) noexcept {
  switch (outcome) {
    case LockOutcome::acquired:
      return "acquired";
    case LockOutcome::timed_out:
      return "timed_out";
    case LockOutcome::stopped:
      return "stopped";
    case LockOutcome::unavailable:
      break;
  }
  return "unavailable";
}

KeyLock::KeyLock(FileDescriptor directory, FileDescriptor file, std::string name)
    : directory_(std::move(directory)), file_(std::move(file)), name_(std::move(name)) {}

KeyLock::~KeyLock() { release(); }

KeyLock& KeyLock::operator=(KeyLock&& other) noexcept {
  if (this != &other) {
    release();
    directory_ = std::move(other.directory_);
    file_ = std::move(other.file_);
    name_ = std::move(other.name_);
  }
  return *this;
}

void KeyLock::release() noexcept {
  if (!file_.valid()) return;
  // Only while it is still ours by name: a cleaner of /tmp may have removed it, and another holder
  // may have made a new one.
  struct stat held {};
  struct stat named {};
  if (::fstat(file_.get(), &held) == 0 &&
      ::fstatat(directory_.get(), name_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
      same_file(held, named)) {
    ::unlinkat(directory_.get(), name_.c_str(), 0);
  }
  // Closing alone would leave the lock to a forked child that still has the descriptor.
  ::flock(file_.get(), LOCK_UN);
  file_.close();
  directory_.close();
}

std::optional<KeyLock> KeyLock::try_acquire(const std::string& directory, const CacheKey& key) {
  return acquire(directory, key, Clock::time_point::min(), {}).lock;
}

LockResult KeyLock::acquire(const std::string& directory, const CacheKey& key,
                            Clock::time_point deadline, const std::function<bool()>& should_stop) {
  KeyLockAttempt attempt(directory, key);
  auto pause = kFirstPause;
  bool opened = false;
  for (int reopened = 0; reopened < kReopenLimit;) {
    if (!opened && !attempt.open()) return {LockOutcome::unavailable, {}, attempt.detail()};
    opened = true;
    switch (attempt.step()) {
      case KeyLockAttempt::Step::locked:
        return {LockOutcome::acquired, attempt.take(), {}};
      case KeyLockAttempt::Step::failed:
        return {LockOutcome::unavailable, {}, attempt.detail()};
      case KeyLockAttempt::Step::exchanged:
        opened = false;
        ++reopened;
        continue;
      case KeyLockAttempt::Step::busy:
        reopened = 0;
        break;
    }
    if (should_stop && should_stop()) return {LockOutcome::stopped, {}, {}};
    const auto now = Clock::now();
    if (now >= deadline) return {LockOutcome::timed_out, {}, {}};
    std::this_thread::sleep_for(std::min<Clock::duration>(pause, deadline - now));
    pause = std::min(pause + std::chrono::milliseconds(5), kLongestPause);
  }
  return {LockOutcome::unavailable,
          {},
          fmt::format("the lock file of {} in {} keeps being replaced", key.full.hex(), directory)};
}

std::string default_lock_directory(const std::string& runtime_directory, std::uint32_t user) {
  if (!runtime_directory.empty()) return runtime_directory + "/fourge";
  return fmt::format("/tmp/fourge-{}", user);
}

}  // namespace fourge::cache
