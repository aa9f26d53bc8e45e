#include <chrono>
#include <filesystem>
#include <fourge/error.hpp>

#include "cache/disk_counters.hpp"
#include "cache/disk_store.hpp"
#include "cache/evictor.hpp"
#include "cache/temporary_name.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using cache::CacheKey;
using cache::DiskStore;
using cache::EntryInfo;
using cache::MissCause;

namespace {

void set_age(const std::string& path, std::chrono::hours age) {
  fs::last_write_time(path, fs::file_time_type::clock::now() - age);
}

}  // namespace

TEST_CASE("temporary names are unique and are no entry's names") {
  const std::string entry = make_key("one").file_name();
  const std::string a = cache::make_temporary_name(entry);
  const std::string b = cache::make_temporary_name(entry);
  CHECK(a != b);
  CHECK(a.size() < 255);
  CHECK(cache::is_temporary_name(a));
  CHECK_FALSE(cache::is_entry_file_name(a));
  CHECK_FALSE(cache::is_temporary_name(entry));
  CHECK_FALSE(cache::is_temporary_name("notes.tmp"));
  CHECK_FALSE(cache::is_temporary_name("notes.fourge.x.tmp"));
}

TEST_CASE("the list tells what is in the store") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const CacheKey good = make_key("good");
  const CacheKey bad = make_key("bad");
  REQUIRE(store.publish(good, make_payload("good", 1234)).ok);
  write_all(store.path_of(bad), "damaged");
  write_all(directory / "v2/README", "not ours");
  write_all(directory / "v2/zz/" + good.file_name(), "no shard");

  const auto entries = store.list();
  REQUIRE(entries.size() == 2);
  const auto by_key = [&](const CacheKey& key) {
    return entries[entries[0].key_hex == key.full.hex() ? 0 : 1];
  };
  const EntryInfo info = by_key(good);
  CHECK(info.valid);
  CHECK(info.path == store.path_of(good));
  CHECK(info.key_hex == good.full.hex());
  CHECK(info.record == good.record);
  CHECK(info.payload_bytes == 1234);
  CHECK(info.file_bytes == fs::file_size(store.path_of(good)));
  const auto age = std::chrono::system_clock::now() - info.modified;
  CHECK(age < std::chrono::minutes(5));
  CHECK(age > -std::chrono::minutes(5));

  CHECK_FALSE(by_key(bad).valid);
  CHECK(by_key(bad).cause == MissCause::format);
  CHECK_FALSE(by_key(bad).detail.empty());
  CHECK(exists(store.path_of(bad)));  // listing changes nothing
}

TEST_CASE("verify sets bad entries aside and keeps good ones") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const CacheKey good = make_key("good");
  const CacheKey renamed = make_key("renamed");
  const CacheKey cut = make_key("cut");
  const CacheKey link = make_key("link");
  for (const CacheKey& key : {good, renamed, cut, link}) {
    REQUIRE(store.publish(key, make_payload("x")).ok);
  }
  fs::copy_file(store.path_of(good), store.path_of(renamed), fs::copy_options::overwrite_existing);
  fs::resize_file(store.path_of(cut), 100);
  fs::remove(store.path_of(link));
  fs::create_symlink(store.path_of(good), store.path_of(link));

  const auto report = store.verify();
  CHECK(report.checked == 4);
  CHECK(report.valid == 1);
  CHECK(report.set_aside == 3);
  REQUIRE(report.bad.size() == 3);
  for (const EntryInfo& info : report.bad) {
    const MissCause expected = info.path == store.path_of(renamed) ? MissCause::key
                               : info.path == store.path_of(cut)   ? MissCause::corrupt
                                                                   : MissCause::unreadable;
    CHECK(info.cause == expected);
    CHECK_FALSE(exists(info.path));
  }
  CHECK(store.lookup(good).entry);
  const auto again = store.verify();
  CHECK(again.checked == 1);
  CHECK(again.bad.empty());
}

TEST_CASE("an entry in another shard's directory is found out") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const CacheKey key = make_key("one");
  for (const std::size_t changed : {0U, 3U}) {  // a digit of the outer, of the inner directory
    REQUIRE(store.publish(key, make_payload("one")).ok);
    std::string place = key.directory();
    place[changed] = place[changed] == '0' ? '1' : '0';
    const std::string moved = directory / "v2/" + place + '/' + key.file_name();
    fs::create_directories(fs::path(moved).parent_path());
    fs::rename(store.path_of(key), moved);
    const auto entries = store.list();
    REQUIRE(entries.size() == 1);
    CHECK_FALSE(entries[0].valid);
    CHECK(entries[0].cause == MissCause::key);
    fs::remove(moved);
  }
}

TEST_CASE("clear removes what is ours and nothing else") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const CacheKey key = make_key("one");
  REQUIRE(store.publish(key, make_payload("one")).ok);
  write_all(store.path_of(make_key("two")), "damaged");
  REQUIRE(store.lookup(make_key("two")).set_aside);
  const std::string shard = directory / "v2/" + key.directory() + '/';
  const std::string live = shard + cache::make_temporary_name(key.file_name());
  const std::string stale = shard + cache::make_temporary_name(key.file_name());
  const std::string future = shard + cache::make_temporary_name(key.file_name());
  write_all(live, "being written");
  write_all(stale, "left behind");
  write_all(future, "left behind before the clock was set back");
  set_age(stale, std::chrono::hours(1));
  set_age(future, std::chrono::hours(-1));
  const std::vector<std::string> strange{
      directory / "README",
      directory / "v2/notes",
      shard + "notes.txt",
      shard + "notes.tmp",
      store.quarantine_directory() + "/notes",
      directory / "v3/" + key.directory() + '/' + key.file_name()};
  for (const std::string& path : strange) write_all(path, "not ours");

  const auto report = store.clear();
  CHECK(report.entries == 1);
  CHECK(report.quarantined == 1);
  CHECK(report.temporaries == 2);
  CHECK(report.bytes > 3000);
  CHECK(report.left.empty());
  for (const std::string& path : strange) CHECK(exists(path));
  CHECK(exists(live));
  CHECK(count_files(directory.path(), "") == strange.size() + 1);
}

TEST_CASE("clear leaves an empty root, and says what it could not remove") {
  const TemporaryDirectory directory;
  DiskStore store(directory / "root");
  const CacheKey key = make_key("one");
  REQUIRE(store.publish(key, make_payload("one")).ok);
  CHECK(store.clear().entries == 1);
  CHECK(fs::is_empty(directory / "root"));
  REQUIRE(store.publish(key, make_payload("one")).ok);  // works on

  const CacheKey full = make_key("two");
  write_all(store.path_of(full) + "/inner", "not ours");
  const auto report = store.clear();
  CHECK(report.entries == 1);
  REQUIRE(report.left.size() == 1);
  CHECK(report.left[0].find(store.path_of(full)) == 0);
  CHECK(exists(store.path_of(full) + "/inner"));
}

TEST_CASE("clear removes what is known of the use of entries") {
  const TemporaryDirectory directory;
  const std::string root = directory / "root";
  DiskStore store(root);
  cache::Evictor evictor(root);
  cache::DiskCounters counters(root);
  const CacheKey key = make_key("one");
  const auto publish = [&] {
    REQUIRE(store.publish(key, make_payload("one")).ok);
    evictor.published(key, fs::file_size(store.path_of(key)));
  };
  publish();
  evictor.used(key);
  cache::CounterValues values;
  values[cache::CounterId::compiles] = 3;
  counters.record(values);
  counters.flush();
  REQUIRE(exists(root + "/usage/sizes.v2"));
  REQUIRE(exists(root + "/usage/counters"));
  REQUIRE(exists(root + "/usage/" + key.shard() + ".used"));
  write_all(root + "/usage/counters.1-00000000.fold", "put aside");
  write_all(root + "/usage/sizes.1-00000000.tmp", "left behind");
  set_age(root + "/usage/sizes.1-00000000.tmp", std::chrono::hours(1));
  const auto report = store.clear();
  CHECK(report.usage_files == 5);
  CHECK(report.left.empty());
  CHECK(fs::is_empty(root));

  // Those who have the store open go on: no sum of what is gone, and no count lost that comes later.
  CHECK(counters.totals().values[cache::CounterId::compiles] == 0);
  values[cache::CounterId::compiles] = 4;
  counters.record(values);
  counters.flush();
  CHECK(counters.totals().values[cache::CounterId::compiles] == 1);
  publish();
  CHECK(evictor.trim().bytes == fs::file_size(store.path_of(key)));
  CHECK(store.lookup(key).entry);

  // A log that somebody is about to put in place, a stranger's file, and what others may write.
  write_all(root + "/usage/sizes.1-00000001.tmp", "being written");
  write_all(root + "/usage/notes", "not ours");
  write_all(root + "/usage/ff.used", "of anybody");
  fs::permissions(root + "/usage/ff.used", fs::perms::others_write, fs::perm_options::add);
  const auto again = store.clear();
  REQUIRE(again.left.size() == 1);
  CHECK(again.left[0].find("ff.used") != std::string::npos);
  CHECK(exists(root + "/usage/sizes.1-00000001.tmp"));
  CHECK(exists(root + "/usage/notes"));
  CHECK(exists(root + "/usage/ff.used"));
  CHECK_FALSE(exists(root + "/usage/sizes.v2"));
}

TEST_CASE("a store that cannot be read is an error for those who ask for all of it") {
  const TemporaryDirectory directory;
  write_all(directory / "root", "a file");
  DiskStore store(directory / "root");
  const auto kind_of = [](const auto& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::internal;
  };
  CHECK(kind_of([&] { store.list(); }) == ErrorKind::io);
  CHECK(kind_of([&] { store.verify(); }) == ErrorKind::io);
  CHECK(kind_of([&] { store.clear(); }) == ErrorKind::io);
}

}  // namespace fourge::tests
