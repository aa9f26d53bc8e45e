#include <cerrno>
#include <filesystem>
#include <new>

#include "cache/disk_store.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/cache/faulty_file_system.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using cache::CacheKey;
using cache::DiskStore;
using cache::LookupResult;
using cache::MissCause;
using cache::PublishResult;

namespace {

// Fails one operation with one error, `times` times.
FaultyFileSystem::Hook failing(Operation failing_operation, int error, int times = 1'000'000) {
  return [failing_operation, error, times](Operation operation, const std::string&) mutable {
    return operation == failing_operation && times-- > 0 ? error : 0;
  };
}

int no_fault(Operation, const std::string&) { return 0; }

}  // namespace

TEST_CASE("a publish that fails at a step says so and leaves nothing") {
  const TemporaryDirectory directory;
  const CacheKey key = make_key("one");
  for (const Operation operation :
       {Operation::write, Operation::make_directories, Operation::rename}) {
    for (const int error : {ENOSPC, EDQUOT, EIO, EROFS, EACCES, ESTALE}) {
      const std::string root =
          directory / std::to_string(static_cast<int>(operation)) + std::to_string(error);
      FaultyFileSystem files(failing(operation, error));
      DiskStore store(root, files);
      const PublishResult result = store.publish(key, make_payload("one"));
      CAPTURE(root, result.detail);
      CHECK_FALSE(result.ok);
      CHECK(result.detail.find(root) != std::string::npos);
      CHECK(result.detail.find(cache::describe_errno(error)) != std::string::npos);
      CHECK(count_files(root, "") == 0);
      CHECK(store.lookup(key).cause == MissCause::absent);

      files.hook = no_fault;
      CHECK(store.publish(key, make_payload("one")).ok);
      CHECK(store.lookup(key).entry);
    }
  }
}

TEST_CASE("an entry that is published but not synced is published") {
  const TemporaryDirectory directory;
  FaultyFileSystem files(failing(Operation::sync, EIO));
  DiskStore store(directory.path(), files);
  const PublishResult result = store.publish(make_key("one"), make_payload("one"));
  CHECK(result.ok);
  CHECK_FALSE(result.detail.empty());
  CHECK(store.lookup(make_key("one")).entry);
}

TEST_CASE("an entry that cannot be read is a miss and stays where it is") {
  const TemporaryDirectory directory;
  FaultyFileSystem files(no_fault);
  DiskStore store(directory.path(), files);
  const CacheKey key = make_key("one");
  REQUIRE(store.publish(key, make_payload("one")).ok);
  for (const int error : {EIO, ESTALE, EACCES, EMFILE, ENOMEM}) {
    files.hook = failing(Operation::read, error);
    const LookupResult result = store.lookup(key);
    CHECK_FALSE(result.entry);
    CHECK(result.cause == MissCause::unreadable);
    CHECK_FALSE(result.set_aside);
    CHECK(result.detail.find(cache::describe_errno(error)) != std::string::npos);
    const auto entries = store.list();
    REQUIRE(entries.size() == 1);
    CHECK_FALSE(entries[0].valid);
    CHECK(store.verify().set_aside == 0);
    files.hook = no_fault;
    CHECK(store.lookup(key).entry);
  }
}

TEST_CASE("a bad entry that cannot be moved is still never used") {
  const TemporaryDirectory directory;
  const CacheKey key = make_key("one");
  for (const Operation operation :
       {Operation::make_directories, Operation::rename, Operation::status}) {
    FaultyFileSystem files(failing(operation, EROFS));
    DiskStore store(directory / std::to_string(static_cast<int>(operation)), files);
    write_all(store.path_of(key), "damaged");
    const LookupResult result = store.lookup(key);
    CHECK_FALSE(result.entry);
    CHECK(result.cause == MissCause::format);
    CHECK_FALSE(result.set_aside);
    CHECK(exists(store.path_of(key)));
  }
}

TEST_CASE("a quarantine that cannot be listed or pruned does no harm") {
  const TemporaryDirectory directory;
  const CacheKey key = make_key("one");
  for (const Operation operation : {Operation::list, Operation::remove}) {
    FaultyFileSystem files(failing(operation, EIO));
    DiskStore store(directory / std::to_string(static_cast<int>(operation)), files);
    for (std::size_t i = 0; i < cache::kQuarantineLimit + 2; ++i) {
      write_all(store.path_of(key), "damaged");
      REQUIRE(store.lookup(key).set_aside);
    }
    CHECK(count_files(store.quarantine_directory(), "") == cache::kQuarantineLimit + 2);
    files.hook = no_fault;  // the next one makes up for it
    write_all(store.path_of(key), "damaged");
    REQUIRE(store.lookup(key).set_aside);
    CHECK(count_files(store.quarantine_directory(), "") == cache::kQuarantineLimit);
  }
}

TEST_CASE("losing the rename is success if the winner's entry is whole, and only then") {
  const TemporaryDirectory directory;
  const CacheKey key = make_key("one");
  DiskStore winner(directory.path());
  REQUIRE(winner.publish(key, make_payload("one")).ok);
  for (const int error : {EEXIST, EBUSY, ESTALE, ENOENT}) {
    FaultyFileSystem files(failing(Operation::rename, error));
    DiskStore loser(directory.path(), files);
    const PublishResult lost = loser.publish(key, make_payload("one"));
    CHECK(lost.ok);
    CHECK(lost.lost_race);
  }
  write_all(winner.path_of(key), "damaged");
  for (const int error : {EEXIST, EBUSY, ESTALE, ENOENT}) {
    FaultyFileSystem files(failing(Operation::rename, error));
    DiskStore loser(directory.path(), files);
    CHECK_FALSE(loser.publish(key, make_payload("one")).ok);
  }
  CHECK(count_files(directory.path(), ".tmp") == 0);
}

TEST_CASE("a directory or temporary file that is cleared meanwhile is made again") {
  const TemporaryDirectory directory;
  const CacheKey key = make_key("one");
  int clears = 1;
  FaultyFileSystem files(no_fault);
  DiskStore store(directory / "root", files);
  files.hook = [&](Operation operation, const std::string&) {
    if (operation == Operation::rename && clears-- > 0) fs::remove_all(directory / "root");
    return 0;
  };
  const PublishResult result = store.publish(key, make_payload("one"));
  CAPTURE(result.detail);
  CHECK(result.ok);
  CHECK(store.lookup(key).entry);

  clears = 1'000'000;  // somebody who never stops: give up, do not spin
  CHECK_FALSE(store.publish(make_key("two"), make_payload("two")).ok);
}

TEST_CASE("a cache that vanishes is a miss, and comes back with the next publish") {
  const TemporaryDirectory directory;
  DiskStore store(directory / "root");
  const CacheKey key = make_key("one");
  REQUIRE(store.publish(key, make_payload("one")).ok);
  fs::remove_all(directory / "root");
  CHECK(store.lookup(key).cause == MissCause::absent);
  CHECK(store.publish(key, make_payload("one")).ok);
  CHECK(store.lookup(key).entry);
}

// A reader judged an entry bad; before it moves the file, another process rebuilds the entry.
TEST_CASE("an entry healed by another process is not set aside") {
  const TemporaryDirectory directory;
  const CacheKey key = make_key("one");
  DiskStore healer(directory.path());
  FaultyFileSystem files(no_fault);
  DiskStore reader(directory.path(), files);
  for (const Operation moment : {Operation::status, Operation::rename}) {
    write_all(reader.path_of(key), "damaged");
    bool healed = false;
    int moves = 0;
    files.hook = [&](Operation operation, const std::string&) {
      if (operation == Operation::rename) ++moves;
      if (operation == moment && !healed) {
        healed = true;
        REQUIRE(healer.publish(key, make_payload("healed")).ok);
      }
      return 0;
    };
    const LookupResult result = reader.lookup(key);
    CHECK(healed);
    CHECK(moves == (moment == Operation::status ? 0 : 2));  // if moved at all, then back again
    CHECK_FALSE(result.entry);
    CHECK_FALSE(result.set_aside);
    CHECK(healer.lookup(key).entry);
    CHECK(count_files(reader.quarantine_directory(), "") == 0);
  }
}

TEST_CASE("a handle that went stale once is no failure") {
  const TemporaryDirectory directory;
  for (const Operation operation :
       {Operation::write, Operation::rename, Operation::sync, Operation::status}) {
    FaultyFileSystem files(failing(operation, ESTALE, 1));
    DiskStore store(directory / std::to_string(static_cast<int>(operation)), files);
    const PublishResult result = store.publish(make_key("one"), make_payload("one"));
    CAPTURE(static_cast<int>(operation), result.detail);
    CHECK(result.ok);
    CHECK(store.lookup(make_key("one")).entry);
    CHECK(count_files(store.root(), ".tmp") == 0);
  }
}

// Whatever the system says to whatever step, and however often: a look-up gives the right bytes or
// none, a publish that claims success has succeeded, and afterwards all is well again.
TEST_CASE("any error at any step gives a right answer") {
  const CacheKey key = make_key("one");
  const auto payload = make_payload("one");
  for (const int error :
       {ENOSPC, EROFS, EACCES, EIO, ESTALE, EINTR, ENOENT, ENOTDIR, ELOOP, EBUSY, EMFILE}) {
    for (const bool there : {false, true}) {
      for (int step = 0; step < 12; ++step) {
        for (const int times : {1, 1'000'000}) {
          const TemporaryDirectory directory;
          FaultyFileSystem files(no_fault);
          DiskStore store(directory / "root", files);
          if (there) REQUIRE(store.publish(key, payload).ok);
          int calls = 0;
          int left = times;
          files.hook = [&](Operation, const std::string&) {
            return calls++ >= step && left-- > 0 ? error : 0;
          };
          CAPTURE(error, there, step, times);
          const LookupResult found = store.lookup(key);
          if (found.entry) CHECK(found.entry->payload == payload);
          const PublishResult published = store.publish(key, payload);
          if (!published.ok) CHECK_FALSE(published.detail.empty());
          CHECK_FALSE(found.set_aside);
          files.hook = no_fault;
          const LookupResult after = store.lookup(key);
          CHECK(after.entry.has_value() == (there || published.ok));
          if (after.entry) CHECK(after.entry->payload == payload);
          CHECK_FALSE(exists(store.quarantine_directory()));
          REQUIRE(store.publish(key, payload).ok);
          CHECK(store.lookup(key).entry);
        }
      }
    }
  }
}

TEST_CASE("a root that vanishes at any step is a miss, and comes back") {
  const CacheKey key = make_key("one");
  for (int step = 0; step < 8; ++step) {
    const TemporaryDirectory directory;
    FaultyFileSystem files(no_fault);
    DiskStore store(directory / "root", files);
    REQUIRE(store.publish(key, make_payload("one")).ok);
    int calls = 0;
    files.hook = [&](Operation, const std::string&) {
      if (calls++ == step) fs::remove_all(directory / "root");
      return 0;
    };
    CAPTURE(step);
    const LookupResult found = store.lookup(key);
    if (!found.entry) CHECK(found.cause == MissCause::absent);
    const PublishResult published = store.publish(key, make_payload("one"));
    CHECK(published.ok);
    files.hook = no_fault;
    REQUIRE(store.publish(key, make_payload("one")).ok);
    CHECK(store.lookup(key).entry);
  }
}

TEST_CASE("running out of memory is a miss and a failed publish") {
  const TemporaryDirectory directory;
  FaultyFileSystem files([](Operation, const std::string&) -> int { throw std::bad_alloc(); });
  DiskStore store(directory.path(), files);
  CHECK(store.lookup(make_key("one")).cause == MissCause::unreadable);
  CHECK_FALSE(store.publish(make_key("one"), make_payload("one")).ok);
}

}  // namespace fourge::tests
