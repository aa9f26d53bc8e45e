#include "cache/evictor.hpp"

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <set>

#include "cache/disk_store.hpp"
#include "cache/key_lock.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/cache/faulty_file_system.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using cache::CacheKey;
using cache::DiskStore;
using cache::EvictionPolicy;
using cache::Evictor;
using cache::EvictReport;
using std::chrono::hours;
using std::chrono::minutes;

namespace {

constexpr std::size_t kPayload = 2000;

EvictionPolicy policy_of(std::uint64_t byte_limit, std::size_t keep_recent = 0) {
  EvictionPolicy policy;
  policy.byte_limit = byte_limit;
  policy.keep_recent = keep_recent;
  return policy;
}

// A store with entries "0", "1", ... of equal size; "0" is the oldest, an hour older than "1".
class AgedStore {
 public:
  explicit AgedStore(int entries) : store(directory.path()) {
    for (int i = 0; i < entries; ++i) {
      const CacheKey key = key_of(i);
      if (!store.publish(key, make_payload(std::to_string(i), kPayload)).ok) ++failed;
      fs::last_write_time(store.path_of(key),
                          fs::file_time_type::clock::now() - hours(24) * 30 + hours(i));
    }
    file_bytes = entries == 0 ? 0 : fs::file_size(store.path_of(key_of(0)));
  }

  static CacheKey key_of(int i) { return make_key("spec" + std::to_string(1000 + i)); }

  bool has(int i) const { return exists(store.path_of(key_of(i))); }
  std::size_t count() const { return count_files(directory.path(), ".fourge"); }

  TemporaryDirectory directory;
  DiskStore store;
  std::uint64_t file_bytes = 0;
  int failed = 0;
};

}  // namespace

TEST_CASE("what was used least recently goes first, down to the limit") {
  AgedStore aged(20);
  REQUIRE(aged.failed == 0);
  Evictor evictor(aged.directory.path(), policy_of(10 * aged.file_bytes));
  const EvictReport report = evictor.trim();
  CHECK(report.detail.empty());
  CHECK(report.removed == 10);
  CHECK(report.removed_bytes == 10 * aged.file_bytes);
  CHECK(report.bytes == 10 * aged.file_bytes);
  for (int i = 0; i < 20; ++i) CHECK(aged.has(i) == (i >= 10));
  CHECK(evictor.trim().removed == 0);
}

TEST_CASE("a hit makes an old entry recent") {
  AgedStore aged(20);
  EvictionPolicy policy = policy_of(10 * aged.file_bytes);
  policy.in_use_window = std::chrono::milliseconds(0);
  Evictor evictor(aged.directory.path(), policy);
  evictor.used(AgedStore::key_of(0));
  evictor.used(AgedStore::key_of(3));
  CHECK(evictor.trim().removed == 10);
  for (int i = 0; i < 20; ++i) CHECK(aged.has(i) == (i >= 12 || i == 0 || i == 3));
}

TEST_CASE("entries in use, held, or among the last ones stay, even above the limit") {
  AgedStore aged(20);
  Evictor evictor(aged.directory.path(), policy_of(1, 4));
  Evictor(aged.directory.path()).used(AgedStore::key_of(0));  // another process
  evictor.hold(AgedStore::key_of(5));
  evictor.hold(AgedStore::key_of(5));
  evictor.release(AgedStore::key_of(5));
  EvictReport report = evictor.trim();
  CHECK(report.removed == 15);
  CHECK(report.in_use == 1);  // the one hit is among the four used last
  // used last: 0 (now), 19, 18, 17
  for (int i = 0; i < 20; ++i) CHECK(aged.has(i) == (i >= 17 || i == 0 || i == 5));
  evictor.release(AgedStore::key_of(5));
  report = evictor.trim();
  CHECK(report.removed == 1);
  CHECK_FALSE(aged.has(5));
}

TEST_CASE("the limit holds after every publish") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const std::uint64_t bytes = [&] {
    REQUIRE(store.publish(make_key("size"), make_payload("x", kPayload)).ok);
    return fs::file_size(store.path_of(make_key("size")));
  }();
  Evictor evictor(directory.path(), policy_of(30 * bytes));
  std::size_t looks = 0;
  std::size_t removed = 0;
  for (int i = 0; i < 300; ++i) {
    const CacheKey key = make_key("size" + std::to_string(i));
    REQUIRE(store.publish(key, make_payload("x", kPayload)).ok);
    const EvictReport report = evictor.published(key, bytes);
    CHECK(report.detail.empty());
    looks += report.looked ? 1 : 0;
    removed += report.removed;
    CHECK(exists(store.path_of(key)));
    REQUIRE(count_files(directory.path(), ".fourge") <= 31);
  }
  CHECK(count_files(directory.path(), ".fourge") >= 24);
  CHECK(removed >= 270);
  CHECK(looks * 3 <= removed);  // the whole store is not looked at for each entry
}

TEST_CASE("a store that was there before is counted once") {
  AgedStore aged(40);
  std::size_t listed = 0;
  FaultyFileSystem files([&](Operation operation, const std::string&) {
    listed += operation == Operation::list ? 1 : 0;
    return 0;
  });
  Evictor evictor(aged.directory.path(), policy_of(1000 * aged.file_bytes), files);
  REQUIRE(evictor.published(AgedStore::key_of(0), aged.file_bytes).bytes == 40 * aged.file_bytes);
  CHECK(listed > 10);
  listed = 0;
  CHECK(evictor.published(AgedStore::key_of(1), aged.file_bytes).bytes == 40 * aged.file_bytes);
  Evictor other(aged.directory.path(), policy_of(1000 * aged.file_bytes), files);
  CHECK(other.published(AgedStore::key_of(2), aged.file_bytes).bytes == 40 * aged.file_bytes);
  CHECK(listed == 8);  // their own shards and the one directory in each, before and after the
                       // size was written
}

TEST_CASE("without a limit nothing is removed, and a store that is off is left alone") {
  AgedStore aged(10);
  Evictor evictor(aged.directory.path(), policy_of(0));
  CHECK(evictor.published(AgedStore::key_of(0), aged.file_bytes).removed == 0);
  CHECK(evictor.trim().removed == 0);
  CHECK(aged.count() == 10);
  Evictor off("");
  off.used(make_key("one"));
  CHECK(off.published(make_key("one"), 10).detail.empty());
  CHECK(off.trim().removed == 0);
}

TEST_CASE("sizes that are wrong or gone cost a count, no more") {
  AgedStore aged(20);
  Evictor evictor(aged.directory.path(), policy_of(15 * aged.file_bytes));
  const std::string sizes = aged.directory / "usage/sizes.v2";
  const cache::Root root{aged.directory.path(), {}};
  cache::RecordLog log(root, "sizes", cache::posix_file_system());
  SECTION("far too large") {
    for (std::uint64_t shard = 0; shard < 256; ++shard) {
      REQUIRE(log.append({{shard, ~std::uint64_t{0}}}).ok());
    }
  }
  SECTION("of no shard") { REQUIRE(log.append({{256, 7}, {~std::uint64_t{0}, 7}}).ok()); }
  SECTION("no file") {}
  SECTION("nonsense") {
    REQUIRE(log.append({{1, 1}}).ok());
    write_all(sizes, std::string(1000, 'x'));
  }
  const EvictReport report = evictor.published(AgedStore::key_of(19), aged.file_bytes);
  CHECK(report.looked);
  CHECK(report.bytes == aged.count() * aged.file_bytes);
  CHECK(aged.count() == 13);  // 7/8 of the limit
  CHECK(aged.has(19));
}

TEST_CASE("times in the future are as good as now, and age") {
  AgedStore aged(20);
  EvictionPolicy policy = policy_of(10 * aged.file_bytes);
  const cache::Root root{aged.directory.path(), {}};
  cache::LastUsed stamps(root, minutes(5), cache::posix_file_system());
  const auto now = std::chrono::system_clock::now();
  // Entry 0 was stamped by a clock years ahead; the file of entry 1 was written by such a clock.
  stamps.stamp(AgedStore::key_of(0), now + hours(24 * 1000), {});
  fs::last_write_time(aged.store.path_of(AgedStore::key_of(1)),
                      fs::file_time_type::clock::now() + hours(24 * 1000));
  Evictor evictor(aged.directory.path(), policy);
  CHECK(evictor.trim().removed == 10);
  for (int i = 0; i < 20; ++i) CHECK(aged.has(i) == (i >= 12 || i < 2));
  // From here they age: whatever is used now is younger.
  for (int i = 12; i < 20; ++i) evictor.used(AgedStore::key_of(i));
  Evictor smaller(aged.directory.path(), policy_of(8 * aged.file_bytes));
  CHECK(smaller.trim().removed == 2);
  for (int i = 0; i < 20; ++i) CHECK(aged.has(i) == (i >= 12));
}

TEST_CASE("who finds another evictor at work gives way") {
  AgedStore aged(20);
  const TemporaryDirectory locks;
  EvictionPolicy policy = policy_of(10 * aged.file_bytes);
  policy.lock_directory = locks.path();
  policy.longest_wait = std::chrono::milliseconds(50);
  bool nested = false;
  FaultyFileSystem files([&](Operation operation, const std::string&) {
    if (operation == Operation::remove && !nested) {
      nested = true;  // in the middle of the first one's work
      Evictor second(aged.directory.path(), policy);
      CHECK(second.trim().busy);
      const EvictReport report = second.published(AgedStore::key_of(19), aged.file_bytes);
      CHECK(report.busy);
      CHECK(report.removed == 0);
    }
    return 0;
  });
  Evictor first(aged.directory.path(), policy, files);
  const EvictReport report = first.trim();
  CHECK(nested);
  CHECK_FALSE(report.busy);
  CHECK(aged.count() == 10);
  CHECK(count_files(locks.path(), "") == 0);
}

TEST_CASE("two evictors without a lock remove no more than one") {
  AgedStore aged(20);
  EvictionPolicy policy = policy_of(10 * aged.file_bytes);
  policy.lock_directory = aged.directory / "no/such/place";
  bool nested = false;
  FaultyFileSystem files([&](Operation operation, const std::string&) {
    if (operation == Operation::remove && !nested) {
      nested = true;
      CHECK(Evictor(aged.directory.path(), policy).trim().removed == 10);
    }
    return 0;
  });
  Evictor first(aged.directory.path(), policy, files);
  CHECK(first.trim().removed == 0);
  CHECK(nested);
  CHECK(aged.count() == 10);
}

TEST_CASE("what the file system refuses is reported, and never thrown") {
  AgedStore aged(20);
  for (const Operation broken : {Operation::list, Operation::remove, Operation::status,
                                 Operation::read, Operation::write, Operation::rename}) {
    for (const int error : {EIO, EACCES, EROFS, ESTALE}) {
      FaultyFileSystem files(
          [&](Operation operation, const std::string&) { return operation == broken ? error : 0; });
      Evictor evictor(aged.directory.path(), policy_of(19 * aged.file_bytes), files);
      evictor.used(AgedStore::key_of(0));
      evictor.published(AgedStore::key_of(1), aged.file_bytes);
      const EvictReport report = evictor.trim();
      if (broken == Operation::list || broken == Operation::remove) {
        CHECK(report.detail.find(cache::describe_errno(error)) != std::string::npos);
      }
    }
  }
  FaultyFileSystem files([](Operation, const std::string&) -> int { throw std::bad_alloc(); });
  Evictor evictor(aged.directory.path(), policy_of(1), files);
  evictor.used(AgedStore::key_of(0));
  CHECK_FALSE(evictor.published(AgedStore::key_of(1), aged.file_bytes).detail.empty());
  CHECK_FALSE(evictor.trim().detail.empty());
}

TEST_CASE("if nothing may go, the store is not looked at again at once") {
  AgedStore aged(10);
  Evictor evictor(aged.directory.path(), policy_of(1, 10));
  const EvictReport first = evictor.published(AgedStore::key_of(0), aged.file_bytes);
  CHECK(first.looked);
  CHECK(first.removed == 0);
  CHECK_FALSE(evictor.published(AgedStore::key_of(1), aged.file_bytes).looked);
  CHECK(aged.count() == 10);
}

TEST_CASE("files that are no entries are neither counted nor removed") {
  AgedStore aged(10);
  const std::string shard = fs::path(aged.store.path_of(AgedStore::key_of(0))).parent_path();
  write_all(shard + "/notes.txt", std::string(100'000, 'x'));
  write_all(aged.directory / "v2/other", std::string(100'000, 'x'));
  Evictor evictor(aged.directory.path(), policy_of(5 * aged.file_bytes));
  CHECK(evictor.trim().bytes == 5 * aged.file_bytes);
  CHECK(exists(shard + "/notes.txt"));
  CHECK(exists(aged.directory / "v2/other"));
}

}  // namespace fourge::tests
