#include "cache/last_used.hpp"

#include <cerrno>
#include <chrono>
#include <filesystem>

#include "cache/record_log.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/cache/faulty_file_system.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using cache::CacheKey;
using cache::LastUsed;
using cache::LogContents;
using cache::Record;
using cache::RecordLog;
using cache::Root;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

// Counts the writes of stamps; fails them if told so.
class CountingFileSystem : public cache::PosixFileSystem {
 public:
  int appends = 0;
  int error = 0;

  cache::IoResult<std::uint64_t> append_file(const cache::FilePath& path,
                                             std::span<const std::byte> bytes) override {
    ++appends;
    if (error != 0) return {0, error};
    return PosixFileSystem::append_file(path, bytes);
  }
};

std::vector<std::uint64_t> tags_of(const LogContents& contents) {
  std::vector<std::uint64_t> tags;
  for (const Record& record : contents.records) tags.push_back(record.tag);
  return tags;
}

}  // namespace

TEST_CASE("a record log gives back what was appended, whatever stands between") {
  const TemporaryDirectory directory;
  const Root root{directory.path(), {}};
  RecordLog log(root, "log", cache::posix_file_system());
  CHECK(log.read().error == ENOENT);
  REQUIRE(log.append({{1, 10}, {2, 20}}).ok());
  REQUIRE(log.append({{3, 30}}).value == 72);
  CHECK(tags_of(log.read()) == std::vector<std::uint64_t>{1, 2, 3});
  CHECK(mode_of(log.path()) == 0600);
  CHECK(mode_of(directory / "usage") == 0700);

  const std::string whole = read_all(log.path());
  for (std::size_t cut = 1; cut < 24; ++cut) {
    write_all(log.path(), whole.substr(0, 24 + cut));  // a torn write, and then another process
    REQUIRE(log.append({{4, 40}}).ok());
    CHECK(tags_of(log.read()) == std::vector<std::uint64_t>{1, 4});
    CHECK(log.read().damaged_bytes == cut);
  }
  for (std::size_t at = 0; at < 24; ++at) {
    std::string damaged = whole;
    damaged[24 + at] = static_cast<char>(damaged[24 + at] ^ 0x10);
    write_all(log.path(), damaged);
    CHECK(tags_of(log.read()) == std::vector<std::uint64_t>{1, 3});
  }
  write_all(log.path(), std::string(480, '\0'));  // a hole after a crash of the machine
  CHECK(log.read().records.empty());

  REQUIRE(log.replace({{7, 70}}).ok());
  CHECK(tags_of(log.read()) == std::vector<std::uint64_t>{7});
  CHECK(count_files(directory.path(), "") == 1);
}

TEST_CASE("what cannot be a record log makes room for one") {
  const TemporaryDirectory directory;
  const Root root{directory.path(), {}};
  RecordLog log(root, "log", cache::posix_file_system());
  fs::create_directories(log.path());
  fs::permissions(directory / "usage", fs::perms::owner_all);
  CHECK(log.read().records.empty());
  CHECK(log.append({{1, 1}}).ok());
  fs::remove(log.path());
  fs::create_symlink("elsewhere", log.path());
  CHECK_FALSE(log.append({{1, 1}}).ok());  // not followed
  CHECK_FALSE(exists(directory / "usage/elsewhere"));
  CHECK(log.read().records.empty());
  CHECK(log.append({{1, 1}}).ok());
  fs::resize_file(log.path(), cache::kMaximumLogBytes + 1);
  CHECK(log.read().records.empty());
  CHECK(log.append({{1, 1}}).value == 24);
}

TEST_CASE("a record log makes no root") {
  const TemporaryDirectory directory;
  const Root root{directory / "none", {}};
  CHECK(RecordLog(root, "log", cache::posix_file_system()).append({{1, 1}}).error == ENOENT);
  CHECK_FALSE(exists(root.path));
}

TEST_CASE("an entry is stamped once in an interval") {
  const TemporaryDirectory directory;
  const Root root{directory.path(), {}};
  CountingFileSystem files;
  LastUsed last_used(root, minutes(5), files);
  const CacheKey key = make_key("one");
  const auto now = std::chrono::system_clock::now();
  const auto clock = std::chrono::steady_clock::now();
  last_used.stamp(key, now, clock);
  const int first = files.appends;  // one more to make the directory
  for (int i = 0; i < 1000; ++i) last_used.stamp(key, now, clock + seconds(i % 299));
  CHECK(files.appends == first);
  last_used.stamp(make_key("two"), now, clock);
  CHECK(files.appends <= 2 * first);
  const int before = files.appends;
  // The wall clock may be set back: the interval goes by another one, and the last stamp counts.
  last_used.stamp(key, now - minutes(60), clock + minutes(5));
  CHECK(files.appends == before + 1);
  const LastUsed::Stamps stamps = last_used.read(key.shard());
  REQUIRE(stamps.count(LastUsed::tag_of(key.full)) == 1);
  const auto age = now - stamps.at(LastUsed::tag_of(key.full));
  CHECK(age >= minutes(60));
  CHECK(age < minutes(60) + seconds(1));
}

TEST_CASE("a stamp that cannot be written is tried again after the interval, not at every hit") {
  const TemporaryDirectory directory;
  const Root root{directory.path(), {}};
  CountingFileSystem files;
  for (const int error : {EROFS, EACCES, ENOSPC, EIO}) {
    files.error = error;
    files.appends = 0;
    LastUsed last_used(root, minutes(5), files);
    const auto clock = std::chrono::steady_clock::now();
    for (int i = 0; i < 100; ++i) last_used.stamp(make_key("one"), {}, clock);
    CHECK(files.appends == 1);
    last_used.stamp(make_key("one"), {}, clock + minutes(5));
    CHECK(files.appends == 2);
  }
  CHECK_FALSE(exists(directory / "usage"));
}

TEST_CASE("the stamps of a shard stay within bounds") {
  const TemporaryDirectory directory;
  const Root root{directory.path(), {}};
  LastUsed last_used(root, std::chrono::milliseconds(0), cache::posix_file_system());
  const CacheKey key = make_key("one");
  const auto now = std::chrono::system_clock::now();
  const auto clock = std::chrono::steady_clock::now();
  std::uintmax_t most = 0;
  for (int i = 0; i < 6000; ++i) {
    last_used.stamp(key, now + seconds(i), clock);
    most = std::max(most, fs::file_size(last_used.path_of(key.shard())));
  }
  CHECK(most <= (64U << 10U));
  const LastUsed::Stamps stamps = last_used.read(key.shard());
  REQUIRE(stamps.size() == 1);
  CHECK(stamps.begin()->second >= now + seconds(5998));
  CHECK(stamps.begin()->second <= now + seconds(5999));
}

TEST_CASE("any number is a time") {
  const TemporaryDirectory directory;
  const Root root{directory.path(), {}};
  LastUsed last_used(root, minutes(5), cache::posix_file_system());
  RecordLog log(root, "ab.used", cache::posix_file_system());
  REQUIRE(log.append({{1, ~std::uint64_t{0}}, {2, 0}, {3, std::uint64_t{1} << 63U}}).ok());
  const LastUsed::Stamps stamps = last_used.read("ab");
  REQUIRE(stamps.size() == 3);
  CHECK(stamps.at(1) > std::chrono::system_clock::now());
  CHECK(stamps.at(2) == LastUsed::Time{});
  CHECK(stamps.at(3) > std::chrono::system_clock::now());
}

}  // namespace fourge::tests
