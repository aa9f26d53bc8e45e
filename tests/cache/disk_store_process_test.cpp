#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <deque>
#include <filesystem>
#include <thread>

#include "cache/disk_store.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using cache::CacheKey;
using cache::DiskStore;
using cache::LookupResult;
using cache::MissCause;

TEST_CASE("processes publish one key at once while others read it") {
  const TemporaryDirectory directory;
  const std::string root = directory / "root";
  const CacheKey key = make_key("one");
  const auto payload = make_payload("one", 50'000);
  StartGate gate;
  std::deque<ChildProcess> children;
  for (int i = 0; i < 8; ++i) {
    children.emplace_back([&] {
      gate.wait();
      DiskStore store(root);
      for (int round = 0; round < 10; ++round) {
        if (!store.publish(key, payload).ok) return 1;
      }
      return 0;
    });
  }
  for (int i = 0; i < 4; ++i) {
    children.emplace_back([&] {
      gate.wait();
      DiskStore store(root);
      int hits = 0;
      for (int round = 0; hits < 200 && round < 200'000; ++round) {
        const LookupResult result = store.lookup(key);
        if (result.entry) {
          ++hits;
          if (result.entry->payload != payload) return 2;
        } else if (result.cause != MissCause::absent || hits > 0) {
          return 3;  // a bad entry was seen, or a good one has gone
        } else {
          std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
      }
      return hits == 200 ? 0 : 4;
    });
  }
  gate.open();
  for (ChildProcess& child : children) CHECK(child.wait() == 0);
  CHECK(count_files(root, "") == 1);  // no temporary file, nothing in quarantine
  CHECK(DiskStore(root).lookup(key).entry);
}

TEST_CASE("a writer that is killed leaves no bad entry") {
  const TemporaryDirectory directory;
  const std::string root = directory / "root";
  const CacheKey key = make_key("one");
  const auto payload = make_payload("one", 200'000);
  DiskStore store(root);
  for (int round = 0; round < 20; ++round) {
    ChildProcess writer([&] {
      DiskStore own(root);
      for (;;) {
        if (!own.publish(key, payload).ok) return 1;
      }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(1 + round % 7));
    writer.kill();
    REQUIRE(writer.wait() == 128 + SIGKILL);
    const LookupResult result = store.lookup(key);
    if (result.entry) {
      REQUIRE(result.entry->payload == payload);
    } else {
      REQUIRE(result.cause == MissCause::absent);
    }
  }
  CHECK_FALSE(exists(store.quarantine_directory()));
  REQUIRE(store.publish(key, payload).ok);
  CHECK(store.lookup(key).entry);
}

TEST_CASE("a directory that may be read but not written is a tier of its own") {
  const TemporaryDirectory directory;
  const std::string root = directory / "root";
  const CacheKey key = make_key("one");
  DiskStore store(root);
  REQUIRE(store.publish(key, make_payload("one")).ok);
  REQUIRE(store.publish(make_key("bad"), make_payload("bad")).ok);
  fs::resize_file(store.path_of(make_key("bad")), 50);
  // Everyone may read, nobody but root may write.
  ::chmod(directory.path().c_str(), 0755);
  for (const auto& item : fs::recursive_directory_iterator(root)) {
    ::chmod(item.path().c_str(), item.is_directory() ? 0555 : 0444);
  }
  ::chmod(root.c_str(), 0555);
  const bool dropped = ::geteuid() == 0;
  ChildProcess reader([&] {
    if (!drop_root()) return 1;
    cache::TrustPolicy tier;
    tier.accept_root = true;
    DiskStore own(root, cache::posix_file_system(), tier);
    if (!own.lookup(key).entry) return 2;
    DiskStore strict(root);  // believes nobody else, not even the administrator
    if (dropped && strict.lookup(key).cause != MissCause::untrusted) return 7;
    if (own.publish(make_key("two"), make_payload("two")).ok) return 3;
    if (own.publish(key, make_payload("one")).ok) return 4;
    const LookupResult bad = own.lookup(make_key("bad"));
    if (bad.entry || bad.cause != MissCause::corrupt || bad.set_aside) return 5;
    return own.lookup(key).entry ? 0 : 6;
  });
  const int status = reader.wait();
  // Let the directory be removed.
  ::chmod(root.c_str(), 0755);
  for (const auto& item : fs::recursive_directory_iterator(root)) {
    if (item.is_directory()) ::chmod(item.path().c_str(), 0755);
  }
  CHECK(status == 0);
  CHECK(count_files(root, "") == 2);
}

TEST_CASE("an entry that may not be read is a miss and stays") {
  const TemporaryDirectory directory;
  const std::string root = directory / "root";
  const CacheKey key = make_key("one");
  DiskStore store(root);
  REQUIRE(store.publish(key, make_payload("one")).ok);
  ::chmod(directory.path().c_str(), 0755);
  if (::geteuid() == 0) REQUIRE(::chown(root.c_str(), kNobody, kNobody) == 0);
  ::chmod(root.c_str(), 0);
  ChildProcess reader([&] {
    if (!drop_root()) return 1;
    DiskStore own(root);
    const LookupResult result = own.lookup(key);
    if (result.entry || result.cause != MissCause::unreadable || result.set_aside) return 2;
    return own.publish(key, make_payload("one")).ok ? 3 : 0;
  });
  const int status = reader.wait();
  ::chmod(root.c_str(), 0700);
  REQUIRE(::chown(root.c_str(), ::geteuid(), ::getegid()) == 0);
  CHECK(status == 0);
  CHECK(store.lookup(key).entry);
}

}  // namespace fourge::tests
