#include "cache/posix_file_system.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>

#include "cache/file_descriptor.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

using cache::FileType;
using cache::PosixFileSystem;

namespace {

constexpr std::size_t kPlenty = 1U << 20U;

// Every other call is interrupted, and no read or write does more than seven bytes. A call that is
// named in `errors` fails `times` times after it has been called `after` times.
class StutteringFileSystem : public PosixFileSystem {
 public:
  std::map<std::string, int> errors;
  int after = 0;
  int times = 1'000'000;
  int interruptions = 0;

 protected:
  int sys_openat(int at, const char* path, int flags, mode_t mode) override {
    return fails("open") ? -1 : PosixFileSystem::sys_openat(at, path, flags, mode);
  }
  ssize_t sys_read(int descriptor, void* buffer, std::size_t count) override {
    if (fails("read")) return -1;
    return PosixFileSystem::sys_read(descriptor, buffer, std::min<std::size_t>(count, 7));
  }
  ssize_t sys_write(int descriptor, const void* buffer, std::size_t count) override {
    if (stuck) return 0;
    if (fails("write")) return -1;
    return PosixFileSystem::sys_write(descriptor, buffer, std::min<std::size_t>(count, 7));
  }
  int sys_fsync(int descriptor) override {
    return fails("fsync") ? -1 : PosixFileSystem::sys_fsync(descriptor);
  }
  int sys_renameat(int from_at, const char* from, int to_at, const char* to) override {
    return fails("rename") ? -1 : PosixFileSystem::sys_renameat(from_at, from, to_at, to);
  }

 public:
  bool stuck = false;

 private:
  bool fails(const char* call) {
    interrupt_ = !interrupt_;
    if (interrupt_) {
      ++interruptions;
      errno = EINTR;
      return true;
    }
    const auto found = errors.find(call);
    if (found == errors.end() || after-- > 0 || times-- <= 0) return false;
    errno = found->second;
    return true;
  }

  bool interrupt_ = false;
};

}  // namespace

TEST_CASE("files are written whole, private and never over another") {
  const TemporaryDirectory directory;
  PosixFileSystem files;
  const std::string path = directory / "file";
  REQUIRE(files.write_new_file(path, as_bytes("content")).ok());
  CHECK(read_all(path) == "content");
  CHECK(mode_of(path) == 0600);
  CHECK(files.write_new_file(path, as_bytes("other")).error == EEXIST);
  CHECK(read_all(path) == "content");

  REQUIRE(::symlink((directory / "target").c_str(), (directory / "link").c_str()) == 0);
  CHECK(files.write_new_file(directory / "link", as_bytes("other")).error == EEXIST);
  CHECK_FALSE(exists(directory / "target"));
  CHECK(files.write_new_file(directory / "no/file", as_bytes("x")).error == ENOENT);
}

TEST_CASE("only regular files within the bound are read") {
  const TemporaryDirectory directory;
  PosixFileSystem files;
  write_all(directory / "file", "content");
  const auto contents = files.read_file(directory / "file", 7);
  REQUIRE(contents.ok());
  CHECK(contents.value.bytes.size() == 7);
  CHECK(contents.value.status.type == FileType::regular);
  CHECK(contents.value.status.size == 7);
  CHECK(files.read_file(directory / "file", 6).error == EFBIG);
  CHECK(files.read_file(directory / "absent", kPlenty).error == ENOENT);
  CHECK(files.read_file(directory / "file/below", kPlenty).error == ENOTDIR);
  CHECK(files.read_file(directory.path(), kPlenty).error == EISDIR);

  REQUIRE(::symlink((directory / "file").c_str(), (directory / "link").c_str()) == 0);
  CHECK(files.read_file(directory / "link", kPlenty).error == ELOOP);
  REQUIRE(::mkfifo((directory / "fifo").c_str(), 0600) == 0);
  CHECK(files.read_file(directory / "fifo", kPlenty).error == EINVAL);  // and does not wait
  CHECK(files.read_file("/dev/zero", kPlenty).error == EINVAL);
  CHECK(files.status(directory / "fifo").value.type == FileType::other);
  CHECK(files.status(directory / "link").value.type == FileType::symbolic_link);
  CHECK(files.status(directory.path()).value.type == FileType::directory);

  const cache::FileDescriptor listener(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string socket_path = directory / "socket";
  REQUIRE(socket_path.size() < sizeof address.sun_path);
  std::copy(socket_path.begin(), socket_path.end(), std::begin(address.sun_path));
  REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  CHECK_FALSE(files.read_file(socket_path, kPlenty).ok());
}

TEST_CASE("directories are made private, and existing ones left alone") {
  const TemporaryDirectory directory;
  PosixFileSystem files;
  REQUIRE(::mkdir((directory / "old").c_str(), 0755) == 0);
  REQUIRE(::chmod((directory / "old").c_str(), 0755) == 0);
  REQUIRE(files.make_directories(directory / "old/a/b").ok());
  CHECK(mode_of(directory / "old") == 0755);
  CHECK(mode_of(directory / "old/a") == 0700);
  CHECK(mode_of(directory / "old/a/b") == 0700);
  CHECK(files.make_directories(directory / "old/a/b").ok());
  CHECK(files.make_directories(directory / "old/c/").ok());
  write_all(directory / "file", "");
  CHECK(files.make_directories(directory / "file").error == ENOTDIR);
  CHECK(files.make_directories(directory / "file/below").error == ENOTDIR);
  CHECK_FALSE(files.make_directories("/proc/fourge").ok());  // nobody can, not even root
}

TEST_CASE("directories are listed in order; removal takes one thing only") {
  const TemporaryDirectory directory;
  PosixFileSystem files;
  write_all(directory / "b", "1");
  write_all(directory / "a/inner", "2");
  const auto names = files.list_directory(directory.path());
  REQUIRE(names.ok());
  CHECK(names.value == std::vector<std::string>{"a", "b"});
  CHECK(files.list_directory(directory / "b").error == ENOTDIR);
  CHECK(files.list_directory(directory / "absent").error == ENOENT);
  REQUIRE(::symlink((directory / "a").c_str(), (directory / "link").c_str()) == 0);
  CHECK_FALSE(files.list_directory(directory / "link").ok());

  CHECK_FALSE(files.remove(directory / "a").ok());
  CHECK(exists(directory / "a/inner"));
  CHECK(files.remove(directory / "link").ok());
  CHECK(files.remove(directory / "a/inner").ok());
  CHECK(files.remove(directory / "a").ok());
  CHECK(files.remove(directory / "a").error == ENOENT);
  CHECK(files.sync_directory(directory.path()).ok());
  CHECK(files.sync_directory(directory / "absent").error == ENOENT);
}

TEST_CASE("a rename keeps a file the same; a new file of that name is another") {
  const TemporaryDirectory directory;
  PosixFileSystem files;
  write_all(directory / "a", "1");
  const auto before = files.status(directory / "a").value;
  REQUIRE(files.rename(directory / "a", directory / "b").ok());
  CHECK(files.status(directory / "b").value.same_file(before));
  CHECK(files.rename(directory / "a", directory / "c").error == ENOENT);
  write_all(directory / "a", "2");
  CHECK_FALSE(files.status(directory / "a").value.same_file(before));
}

TEST_CASE("interrupted calls are repeated and short ones continued") {
  const TemporaryDirectory directory;
  StutteringFileSystem files;
  const std::string content(1000, 'x');
  REQUIRE(files.write_new_file(directory / "file", as_bytes(content)).ok());
  CHECK(read_all(directory / "file") == content);
  const auto contents = files.read_file(directory / "file", kPlenty);
  REQUIRE(contents.ok());
  CHECK(contents.value.bytes.size() == content.size());
  CHECK(files.rename(directory / "file", directory / "other").ok());
  CHECK(files.sync_directory(directory.path()).ok());
  CHECK(files.list_directory(directory.path()).value == std::vector<std::string>{"other"});
  CHECK(files.interruptions > 200);
}

TEST_CASE("a write that fails at any step leaves no file") {
  const TemporaryDirectory directory;
  const std::string content(100, 'x');
  for (const char* const call : {"open", "write", "fsync"}) {
    for (const int after : {0, 3}) {
      StutteringFileSystem files;
      files.errors[call] = ENOSPC;
      files.after = std::string(call) == "write" ? after : 0;
      CAPTURE(call, after);
      CHECK(files.write_new_file(directory / "file", as_bytes(content)).error == ENOSPC);
      CHECK_FALSE(exists(directory / "file"));
    }
  }
  StutteringFileSystem files;
  files.stuck = true;  // writes nothing and gives no reason
  CHECK(files.write_new_file(directory / "file", as_bytes(content)).error == ENOSPC);
  CHECK_FALSE(exists(directory / "file"));
}

TEST_CASE("a read that fails in the middle gives its error") {
  const TemporaryDirectory directory;
  write_all(directory / "file", std::string(100, 'x'));
  StutteringFileSystem files;
  files.errors["read"] = EIO;
  files.after = 5;
  CHECK(files.read_file(directory / "file", kPlenty).error == EIO);
}

TEST_CASE("what is stale is opened afresh, once") {
  const TemporaryDirectory directory;
  write_all(directory / "root/v1/file", std::string(100, 'x'));
  const cache::Root root{directory / "root", {}};
  const cache::FilePath file(root, directory / "root/v1/file");
  const cache::FilePath parent(root, directory / "root/v1");
  for (int after = 0; after < 3; ++after) {  // the root, the directory, the file
    for (const int times : {1, 2}) {
      StutteringFileSystem stale;
      stale.errors["open"] = ESTALE;
      stale.times = times;
      stale.after = after;
      CAPTURE(after, times);
      CHECK(stale.read_file(file, kPlenty).ok() == (times == 1));
    }
  }
  StutteringFileSystem reader;
  reader.errors["read"] = ESTALE;
  reader.times = 1;
  const auto contents = reader.read_file(file, kPlenty);
  REQUIRE(contents.ok());
  CHECK(contents.value.bytes.size() == 100);
  for (const int times : {1, 2}) {
    StutteringFileSystem stale;
    stale.errors["open"] = ESTALE;
    stale.times = times;
    CHECK(stale.list_directory(parent).ok() == (times == 1));
    stale.times = times;
    CHECK(stale.sync_directory(parent).ok() == (times == 1));
    stale.times = times;
    CHECK(stale.status(file).ok() == (times == 1));
    stale.times = times;
    CHECK(stale.make_directories(parent).ok() == (times == 1));
    stale.times = times;
    CHECK(stale.write_new_file({root, directory / "root/v1/new"}, as_bytes("x")).ok() ==
          (times == 1));
    static_cast<void>(stale.remove({root, directory / "root/v1/new"}));
  }
}

}  // namespace fourge::tests
