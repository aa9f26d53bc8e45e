#include "cache/lock_file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <system_error>
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

int flock_retrying(int file, int operation) {
  int result = ::flock(file, operation);
  while (result != 0 && errno == EINTR) result = ::flock(file, operation);
  return result;
}

// Of an open lock file. Where it fails others wait for longer, or do work twice; nothing is wrong then.
void set_length(int file, off_t length) {
  [[maybe_unused]] const int result = ::ftruncate(file, length);
}

bool has_name(int file, int directory, const char* name) {
  struct stat held {};
  struct stat named {};
  return ::fstat(file, &held) == 0 &&
         ::fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

}  // namespace

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

// The thread that stamps a held file.
class LockFile::Heartbeat {
 public:
  Heartbeat(int file, const LockTiming& timing) : file_(file), timing_(timing) {
    // The embedder's signal handlers are not for this thread.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      thread_ = std::thread([this] { beat(); });
    } catch (const std::system_error&) {
      // No thread to be had: a holder without a beat, which may be replaced while it works.
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  ~Heartbeat() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
  }
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

 private:
  void beat() {
    const auto begin = Clock::now();
    std::unique_lock lock(mutex_);
    while (!wake_.wait_until(lock, Clock::now() + timing_.beat, [this] { return ended_; })) {
      if (timing_.longest_hold.count() > 0 && Clock::now() - begin > timing_.longest_hold) return;
      ::futimens(file_, nullptr);
    }
  }

  const int file_;
  const LockTiming timing_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ended_ = false;
  std::thread thread_;
};

LockFile::LockFile(FileDescriptor directory, FileDescriptor file, std::string name,
                   const LockTiming& timing)
    : directory_(std::move(directory)), file_(std::move(file)), name_(std::move(name)) {
  // At once, for those who still look at a dead holder's stamp.
  ::futimens(file_.get(), nullptr);
  if (timing.beat.count() > 0) heartbeat_ = std::make_unique<Heartbeat>(file_.get(), timing);
}

LockFile::LockFile(LockFile&&) noexcept = default;

LockFile::~LockFile() { release(); }

LockFile& LockFile::operator=(LockFile&& other) noexcept {
  if (this != &other) {
    release();
    directory_ = std::move(other.directory_);
    file_ = std::move(other.file_);
    name_ = std::move(other.name_);
    heartbeat_ = std::move(other.heartbeat_);
  }
  return *this;
}

void LockFile::release() noexcept {
  heartbeat_.reset();
  if (!file_.valid()) return;
  // Only while it is still ours by name: this holder may have been replaced, or a cleaner of /tmp may
  // have removed the file, and another holder may have made a new one.
  if (has_name(file_.get(), directory_.get(), name_.c_str())) {
    ::unlinkat(directory_.get(), name_.c_str(), 0);
  }
  // Closing alone would leave the lock to a forked child that still has the descriptor.
  flock_retrying(file_.get(), LOCK_UN);
  file_.close();
  directory_.close();
}

void LockFile::abandon() noexcept {
  // Whoever waits has this file open, and sees that it is not empty any more.
  if (file_.valid()) set_length(file_.get(), 1);
  release();
}

LockFileWait::LockFileWait(std::string directory, std::string name, const LockTiming& timing)
    : directory_path_(std::move(directory)), name_(std::move(name)), timing_(timing) {}

bool LockFileWait::fail(std::string detail) {
  detail_ = std::move(detail);
  return false;
}

std::string LockFileWait::describe(const char* what) const {
  const int error = errno;
  return fmt::format("the lock directory {} {}: {}", directory_path_, what, describe_errno(error));
}

// Opens the directory and the lock file afresh.
bool LockFileWait::open() {
  waited_for_file_ = false;
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

LockFileWait::Step LockFileWait::step() {
  for (int reopened = 0; reopened < kReopenLimit; ++reopened) {
    if (!file_.valid() && !open()) return Step::failed;
    if (flock_retrying(file_.get(), LOCK_EX | LOCK_NB) == 0) {
      if (has_name(file_.get(), directory_.get(), name_.c_str())) return Step::locked;
    } else if (errno != EWOULDBLOCK) {
      fail(describe("does not support locks"));
      return Step::failed;
    } else if (has_name(file_.get(), directory_.get(), name_.c_str())) {
      watch();
      if (!holder_is_stuck()) return Step::busy;
      replace_holder();
      if (!replaced_) return Step::busy;
    }
    struct stat held {};
    if (waited_for_file_ && ::fstat(file_.get(), &held) == 0 && held.st_size > 0) abandoned_ = true;
    file_.close();
  }
  fail(fmt::format("the lock file {} in {} keeps being replaced", name_, directory_path_));
  return Step::failed;
}

LockFile LockFileWait::take() {
  // A dead holder may have abandoned this file before; that was about its own work.
  set_length(file_.get(), 0);
  return {std::move(directory_), std::move(file_), name_, timing_};
}

// Another holds the file: has it stamped it since the last look?
void LockFileWait::watch() {
  struct stat held {};
  if (::fstat(file_.get(), &held) != 0) return;
  const std::int64_t stamp =
      std::int64_t{held.st_mtim.tv_sec} * 1'000'000'000 + held.st_mtim.tv_nsec;
  const auto now = Clock::now();
  if (!waited_for_file_ || stamp != stamp_) {
    silence_ = {};
  } else {
    silence_ += std::min<Clock::duration>(now - looked_, kLongestStep);
  }
  waited_for_file_ = true;
  stamp_ = stamp;
  looked_ = now;
}

bool LockFileWait::holder_is_stuck() const {
  return timing_.stuck_after.count() > 0 && silence_ >= timing_.stuck_after;
}

void LockFileWait::replace_holder() {
  // The directory's own lock: no two waiters replace one holder, or the second would remove the
  // first one's new file. Should even this lock be stuck, the wait's deadline remains.
  if (flock_retrying(directory_.get(), LOCK_EX | LOCK_NB) != 0) return;
  if (has_name(file_.get(), directory_.get(), name_.c_str())) {
    replaced_ = ::unlinkat(directory_.get(), name_.c_str(), 0) == 0;
  }
  flock_retrying(directory_.get(), LOCK_UN);
  silence_ = {};
}

LockOutcome poll_lock(const std::function<LockFileWait::Step()>& step, Clock::time_point deadline,
                      const std::function<bool()>& should_stop) {
  auto pause = kFirstPause;
  for (;;) {
    switch (step()) {
      case LockFileWait::Step::locked:
        return LockOutcome::acquired;
      case LockFileWait::Step::failed:
        return LockOutcome::unavailable;
      case LockFileWait::Step::busy:
        break;
    }
    if (should_stop && should_stop()) return LockOutcome::stopped;
    const auto now = Clock::now();
    if (now >= deadline) return LockOutcome::timed_out;
    std::this_thread::sleep_for(std::min<Clock::duration>(pause, deadline - now));
    pause = std::min(pause + std::chrono::milliseconds(5), kLongestPause);
  }
}

namespace {

bool remove_if_abandoned(int directory, const char* name, std::chrono::seconds age) {
  const FileDescriptor file(
      open_retrying(directory, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  struct stat data {};
  if (!file.valid() || ::fstat(file.get(), &data) != 0 || !S_ISREG(data.st_mode)) return false;
  const auto stamped = std::chrono::seconds(data.st_mtim.tv_sec);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  // A stamp far in the future is as good as an old one: nobody makes it now.
  if (stamped > now - age && stamped < now + age) return false;
  if (flock_retrying(file.get(), LOCK_EX | LOCK_NB) != 0) return false;
  // By the holder, as every removal: who opens it now waits, and then finds that it is gone.
  return has_name(file.get(), directory, name) && ::unlinkat(directory, name, 0) == 0;
}

}  // namespace

std::size_t remove_abandoned_locks(const std::string& directory,
                                   std::chrono::seconds age) noexcept {
  FileDescriptor descriptor(
      open_retrying(AT_FDCWD, directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat data {};
  if (!descriptor.valid() || ::fstat(descriptor.get(), &data) != 0 || data.st_uid != ::geteuid() ||
      (data.st_mode & 0022U) != 0) {
    return 0;
  }
  DIR* listing = ::fdopendir(descriptor.get());
  if (listing == nullptr) return 0;
  const int number = descriptor.release();  // closed with the listing
  std::size_t removed = 0;
  while (const dirent* item = ::readdir(listing)) {
    if (std::string_view(item->d_name).ends_with(".lock") &&
        remove_if_abandoned(number, item->d_name, age)) {
      ++removed;
    }
  }
  ::closedir(listing);
  return removed;
}

std::string default_lock_directory(const std::string& runtime_directory, std::uint32_t user) {
  if (!runtime_directory.empty()) return runtime_directory + "/fourge";
  return fmt::format("/tmp/fourge-{}", user);
}

}  // namespace fourge::cache
