#include "cache/disk_store.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "tests/cache/cache_support.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using cache::CacheKey;
using cache::DiskStore;
using cache::LookupResult;
using cache::MissCause;

namespace {

std::size_t quarantined(const DiskStore& store) {
  return exists(store.quarantine_directory())
             ? static_cast<std::size_t>(std::distance(
                   fs::directory_iterator(store.quarantine_directory()), fs::directory_iterator()))
             : 0;
}

// The bad thing at the key's path is a miss, is moved away, and the entry can be rebuilt.
void check_heals(DiskStore& store, const CacheKey& key, MissCause cause, std::size_t kept = 1) {
  const std::size_t before = quarantined(store);
  const LookupResult bad = store.lookup(key);
  CAPTURE(bad.detail);
  CHECK_FALSE(bad.entry);
  CHECK(bad.cause == cause);
  CHECK(bad.set_aside);
  CHECK(bad.detail.find(store.path_of(key)) != std::string::npos);
  CHECK_FALSE(exists(store.path_of(key)));
  CHECK(quarantined(store) == before + kept);
  CHECK(store.lookup(key).cause == MissCause::absent);

  REQUIRE(store.publish(key, make_payload("healed")).ok);
  const LookupResult good = store.lookup(key);
  REQUIRE(good.entry);
  CHECK(good.entry->payload == make_payload("healed"));
}

}  // namespace

TEST_CASE("what is published is found, by this store and by another") {
  const TemporaryDirectory directory;
  const std::string root = directory / "not/yet/there";
  DiskStore store(root);
  const CacheKey key = make_key("one");
  CHECK(store.lookup(key).cause == MissCause::absent);
  CHECK_FALSE(store.lookup(key).set_aside);
  CHECK(store.list().empty());
  CHECK_FALSE(exists(directory / "not"));  // nothing is created where nothing is written

  const auto published = store.publish(key, make_payload("one"));
  CHECK(published.ok);
  CHECK_FALSE(published.lost_race);
  CHECK(published.detail.empty());
  DiskStore other(root);
  const LookupResult found = other.lookup(key);
  REQUIRE(found.entry);
  CHECK(found.entry->payload == make_payload("one"));
  CHECK(found.entry->record == key.record);
  CHECK(other.lookup(make_key("two")).cause == MissCause::absent);

  CHECK(store.path_of(key) == root + "/v2/" + key.directory() + '/' + key.file_name());
  CHECK(mode_of(root) == 0700);
  CHECK(mode_of(root + "/v2/" + key.directory()) == 0700);
  CHECK(mode_of(store.path_of(key)) == 0600);
  CHECK(count_files(root, "") == 1);  // no temporary file
}

TEST_CASE("publishing again replaces the entry") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const CacheKey key = make_key("one");
  REQUIRE(store.publish(key, make_payload("old")).ok);
  REQUIRE(store.publish(key, make_payload("new")).ok);
  CHECK(store.lookup(key).entry->payload == make_payload("new"));
  CHECK(count_files(directory.path(), "") == 1);
}

TEST_CASE("a store without a root is off") {
  DiskStore store("");
  CHECK_FALSE(store.enabled());
  CHECK(store.lookup(make_key("one")).cause == MissCause::disabled);
  CHECK_FALSE(store.publish(make_key("one"), make_payload("one")).ok);
  CHECK(store.list().empty());
  CHECK(store.verify().checked == 0);
  CHECK(store.clear().entries == 0);
}

TEST_CASE("an entry under another key's name is refused and set aside") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const CacheKey one = make_key("one");
  const CacheKey two = make_key("two");
  REQUIRE(store.publish(one, make_payload("one")).ok);
  REQUIRE(store.publish(two, make_payload("two")).ok);
  fs::rename(store.path_of(two), store.path_of(one));
  check_heals(store, one, MissCause::key);
}

TEST_CASE("damaged entries are refused, set aside and rebuilt") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const CacheKey key = make_key("one");
  REQUIRE(store.publish(key, make_payload("one")).ok);
  const std::string path = store.path_of(key);
  std::string content = read_all(path);

  SECTION("a flipped byte") {
    content[content.size() - 100] = static_cast<char>(content[content.size() - 100] ^ 1);
    write_all(path, content);
    check_heals(store, key, MissCause::corrupt);
  }
  SECTION("cut") {
    write_all(path, content.substr(0, content.size() / 2));
    check_heals(store, key, MissCause::corrupt);
  }
  SECTION("extended") {
    write_all(path, content + "more");
    check_heals(store, key, MissCause::corrupt);
  }
  SECTION("empty") {
    write_all(path, "");
    check_heals(store, key, MissCause::corrupt);
  }
  SECTION("a page of zeros") {
    write_all(path, content.replace(1000, 512, std::string(512, '\0')));
    check_heals(store, key, MissCause::corrupt);
  }
  SECTION("something else") {
    write_all(path, "#!/bin/sh\n");
    check_heals(store, key, MissCause::format);
  }
  SECTION("absurdly large") {
    fs::resize_file(path, cache::kMaximumEntryBytes + 1);  // sparse
    check_heals(store, key, MissCause::corrupt, 0);        // more than the quarantine keeps
  }
}

TEST_CASE("what is no regular file is set aside, not followed and not waited for") {
  const TemporaryDirectory directory;
  DiskStore store(directory / "root");
  const CacheKey key = make_key("one");
  REQUIRE(store.publish(key, make_payload("one")).ok);
  const std::string path = store.path_of(key);

  SECTION("a directory") {
    fs::remove(path);
    fs::create_directory(path);
    check_heals(store, key, MissCause::unreadable);
  }
  SECTION("a directory with something in it") {
    fs::remove(path);
    write_all(path + "/inner", "x");
    check_heals(store, key, MissCause::unreadable);
  }
  SECTION("a link to a good entry") {
    fs::rename(path, directory / "elsewhere");
    fs::create_symlink(directory / "elsewhere", path);
    check_heals(store, key, MissCause::unreadable);
    CHECK(exists(directory / "elsewhere"));
  }
  SECTION("a link to itself") {
    fs::remove(path);
    fs::create_symlink(path, path);
    check_heals(store, key, MissCause::unreadable);
  }
  SECTION("a FIFO") {
    fs::remove(path);
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    check_heals(store, key, MissCause::unreadable);
  }
}

TEST_CASE("publishing gets past whatever lies in the entry's place") {
  const TemporaryDirectory directory;
  DiskStore store(directory / "root");
  const CacheKey key = make_key("one");
  const std::string path = store.path_of(key);
  SECTION("an empty directory") { fs::create_directories(path); }
  SECTION("a full directory") { write_all(path + "/inner", "x"); }
  SECTION("a link") {
    write_all(directory / "target", "precious");
    fs::create_directories(fs::path(path).parent_path());
    fs::create_symlink(directory / "target", path);
  }
  SECTION("a damaged file") { write_all(path, "damaged"); }
  const auto published = store.publish(key, make_payload("one"));
  CAPTURE(published.detail);
  CHECK(published.ok);
  CHECK(store.lookup(key).entry);
  CHECK(count_files(directory.path(), ".tmp") == 0);
  if (exists(directory / "target")) CHECK(read_all(directory / "target") == "precious");
}

TEST_CASE("the quarantine keeps the newest and no more than its bound") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const CacheKey key = make_key("one");
  for (std::size_t i = 0; i < cache::kQuarantineLimit + 8; ++i) {
    write_all(store.path_of(key), "damaged " + std::to_string(i));
    REQUIRE(store.lookup(key).set_aside);
  }
  CHECK(quarantined(store) == cache::kQuarantineLimit);
  std::vector<std::string> names;
  for (const auto& item : fs::directory_iterator(store.quarantine_directory())) {
    names.push_back(item.path().filename().string());
    CHECK(cache::Quarantine::is_quarantine_name(names.back()));
  }
  std::sort(names.begin(), names.end());
  CHECK(read_all(store.quarantine_directory() + '/' + names.front()) == "damaged 8");
  CHECK(read_all(store.quarantine_directory() + '/' + names.back()) == "damaged 39");
  CHECK(names.back().find("." + std::to_string(::getpid()) + ".") != std::string::npos);
  CHECK(names.back().find(".format." + key.file_name()) != std::string::npos);
}

TEST_CASE("roots that cannot be used are misses and failed publishes, not exceptions") {
  const TemporaryDirectory directory;
  const CacheKey key = make_key("one");
  SECTION("a file") {
    write_all(directory / "root", "precious");
    DiskStore store(directory / "root");
    CHECK(store.lookup(key).cause == MissCause::unreadable);
    const auto published = store.publish(key, make_payload("one"));
    CHECK_FALSE(published.ok);
    CHECK(published.detail.find(directory / "root") != std::string::npos);
    CHECK(read_all(directory / "root") == "precious");
  }
  SECTION("where nobody may create anything") {
    DiskStore store("/proc/fourge");
    CHECK_FALSE(store.lookup(key).entry);
    CHECK_FALSE(store.publish(key, make_payload("one")).ok);
  }
  SECTION("a name that is too long") {
    DiskStore store(directory / std::string(5000, 'x'));
    CHECK(store.lookup(key).cause == MissCause::unreadable);
    CHECK_FALSE(store.publish(key, make_payload("one")).ok);
  }
}

TEST_CASE("what is too large for an entry is not published") {
  const TemporaryDirectory directory;
  DiskStore store(directory / "root");
  CacheKey key = make_key("one");
  key.record.assign(2 * cache::kMaximumHeaderBytes, ' ');
  const auto published = store.publish(key, make_payload("one"));
  CHECK_FALSE(published.ok);
  CHECK_FALSE(published.detail.empty());
  CHECK_FALSE(exists(directory / "root"));
}

TEST_CASE("two stores on one directory race without harm") {
  const TemporaryDirectory directory;
  constexpr int kKeys = 4;
  constexpr int kRounds = 15;
  std::atomic<int> wrong{0};
  std::atomic<int> failed{0};
  const auto work = [&](DiskStore& store) {
    for (int round = 0; round < kRounds; ++round) {
      for (int i = 0; i < kKeys; ++i) {
        const std::string name = "key" + std::to_string(i);
        if (!store.publish(make_key(name), make_payload(name)).ok) ++failed;
        const LookupResult found = store.lookup(make_key(name));
        if (!found.entry || found.entry->payload != make_payload(name)) ++wrong;
      }
    }
  };
  DiskStore first(directory.path());
  DiskStore second(directory.path());
  std::vector<std::thread> threads;
  for (DiskStore* const store : {&first, &second, &first, &second}) {
    threads.emplace_back([&work, store] { work(*store); });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(failed == 0);
  CHECK(count_files(directory.path(), "") == kKeys);
  CHECK(quarantined(first) == 0);
}

TEST_CASE("one of many that see a bad entry sets it aside") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const CacheKey key = make_key("one");
  for (int round = 0; round < 20; ++round) {
    write_all(store.path_of(key), "damaged " + std::to_string(round));
    std::atomic<int> movers{0};
    std::atomic<int> hits{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        const LookupResult result = store.lookup(key);
        if (result.set_aside) ++movers;
        if (result.entry) ++hits;
      });
    }
    for (std::thread& thread : threads) thread.join();
    REQUIRE(movers == 1);
    REQUIRE(hits == 0);
  }
}

}  // namespace fourge::tests
