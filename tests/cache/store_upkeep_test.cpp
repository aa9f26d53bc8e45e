// What time, other versions and killed writers do to a store.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "cache/byte_order.hpp"
#include "cache/disk_store.hpp"
#include "cache/quarantine.hpp"
#include "cache/temporary_name.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using cache::CacheKey;
using cache::DiskStore;
using cache::is_abandoned_temporary;
using cache::MissCause;
using namespace std::chrono_literals;

namespace {

void set_age(const std::string& path, std::chrono::seconds age) {
  fs::last_write_time(path, fs::file_time_type::clock::now() - age);
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  if (!exists(directory)) return names;
  for (const auto& item : fs::directory_iterator(directory)) {
    names.push_back(item.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The number of a process that has been.
pid_t dead_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  REQUIRE(child > 0);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  return child;
}

std::string with_process(std::string name, pid_t process) {
  const std::string own = '-' + std::to_string(::getpid()) + '-';
  const std::size_t at = name.find(own);
  REQUIRE(at != std::string::npos);
  return name.replace(at, own.size(), '-' + std::to_string(process) + '-');
}

std::string as_version(std::string entry, std::uint32_t version) {
  std::string bytes;
  cache::append_little_endian(bytes, version);
  return entry.replace(8, bytes.size(), bytes);
}

}  // namespace

TEST_CASE("a temporary file is abandoned when its writer is dead or it is old") {
  const std::string own = cache::make_temporary_name(make_key("one").file_name());
  const auto now = std::chrono::system_clock::now();
  CHECK_FALSE(is_abandoned_temporary(own, now, now));
  CHECK_FALSE(is_abandoned_temporary(own, now - 9min, now));
  CHECK_FALSE(is_abandoned_temporary(own, now + 9min, now));
  CHECK(is_abandoned_temporary(own, now - 11min, now));
  CHECK(is_abandoned_temporary(own, now + 11min, now));  // the clock was set back

  const std::string dead = with_process(own, dead_process());
  CHECK_FALSE(is_abandoned_temporary(dead, now, now));
  CHECK(is_abandoned_temporary(dead, now - 2min, now));
  CHECK(is_abandoned_temporary(dead, now + 2min, now));
  // On another host a number says nothing.
  std::string elsewhere = dead;
  elsewhere.insert(make_key("one").file_name().size() + 1, "other");
  CHECK(cache::is_temporary_name(elsewhere));
  CHECK_FALSE(is_abandoned_temporary(elsewhere, now - 2min, now));
  CHECK(is_abandoned_temporary(elsewhere, now - 11min, now));
  // Nor does what is no number of a process.
  const std::string entry = make_key("one").file_name();
  for (const char* const tail : {".x.tmp", ".host-.tmp", ".host-0-1-2.tmp", ".host--5-1-2.tmp"}) {
    CHECK_FALSE(is_abandoned_temporary(entry + tail, now - 2min, now));
  }
  CHECK_FALSE(is_abandoned_temporary("notes.tmp", now - 20min, now));
}

TEST_CASE("publishing sweeps what killed writers have left, but not everything") {
  const TemporaryDirectory directory;
  const CacheKey key = make_key("one");
  REQUIRE(DiskStore(directory.path()).publish(key, make_payload("one")).ok);
  const std::string shard = directory / "v2/" + key.directory() + '/';
  const std::string live = shard + cache::make_temporary_name(key.file_name());
  const std::string strange = shard + "notes.tmp";
  const std::string unsafe = shard + cache::make_temporary_name(key.file_name());
  write_all(live, "being written");
  for (const std::string& path : {strange, unsafe}) {
    write_all(path, "x");
    set_age(path, 1h);
  }
  fs::permissions(unsafe, fs::perms::others_write, fs::perm_options::add);
  const pid_t dead = dead_process();
  for (int i = 0; i < 40; ++i) {
    const std::string path =
        shard + with_process(cache::make_temporary_name(key.file_name()), dead);
    write_all(path, "left behind");
    set_age(path, 2min);
  }
  DiskStore store(directory.path());
  REQUIRE(store.publish(key, make_payload("one")).ok);
  CHECK(count_files(directory.path(), ".tmp") >= 3 + 8);  // bounded work
  for (int i = 0; i < 33; ++i) REQUIRE(store.publish(key, make_payload("one")).ok);
  CHECK(count_files(directory.path(), ".tmp") == 3);
  CHECK(exists(live));
  CHECK(exists(strange));
  CHECK(exists(unsafe));
  CHECK(store.lookup(key).entry);
}

TEST_CASE("the quarantine is bounded in bytes as well") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  for (int i = 0; i < 6; ++i) {
    const CacheKey key = make_key("key " + std::to_string(i));
    write_all(store.path_of(key), "damaged");
    fs::resize_file(store.path_of(key), cache::kQuarantineBytes / 4);  // sparse
    REQUIRE(store.lookup(key).set_aside);
  }
  const auto names = names_in(store.quarantine_directory());
  REQUIRE(names.size() == 4);
  for (int i = 0; i < 4; ++i) {
    const std::string expected = make_key("key " + std::to_string(i + 2)).file_name();
    CHECK(names[static_cast<std::size_t>(i)].ends_with(expected));
  }
}

TEST_CASE("quarantined directories do not pile up, and lead nowhere else") {
  const TemporaryDirectory directory;
  DiskStore store(directory / "root");
  const CacheKey key = make_key("one");
  write_all(directory / "outside/file", "precious");
  for (std::size_t i = 0; i < cache::kQuarantineLimit + 5; ++i) {
    write_all(store.path_of(key) + "/a/b/c/inner", "x");
    write_all(store.path_of(key) + "/other", "x");
    fs::create_symlink(directory / "outside", store.path_of(key) + "/link");
    REQUIRE(store.lookup(key).set_aside);
  }
  CHECK(names_in(store.quarantine_directory()).size() == cache::kQuarantineLimit);
  CHECK(read_all(directory / "outside/file") == "precious");
}

TEST_CASE("quarantined files of a time to come make room for those of now") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const CacheKey key = make_key("one");
  for (std::size_t i = 0; i < cache::kQuarantineLimit; ++i) {
    write_all(store.quarantine_directory() + "/9000000000000000000" + std::to_string(i % 10) +
                  ".1." + std::to_string(i) + ".corrupt." + key.file_name(),
              "from before the clock was set back");
  }
  REQUIRE(names_in(store.quarantine_directory()).size() == cache::kQuarantineLimit);
  write_all(store.path_of(key), "damaged");
  REQUIRE(store.lookup(key).set_aside);
  const auto names = names_in(store.quarantine_directory());
  CHECK(names.size() == cache::kQuarantineLimit);
  CHECK(names.front().find(".format.") != std::string::npos);
  CHECK(read_all(store.quarantine_directory() + '/' + names.front()) == "damaged");
}

TEST_CASE("stamps of any time are no reason to refuse an entry or to prefer a bad one") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const CacheKey key = make_key("one");
  REQUIRE(store.publish(key, make_payload("one")).ok);
  for (const auto age : {-24h * 365 * 20, -24h, 24h, 24h * 365 * 40}) {
    set_age(store.path_of(key), age);
    set_age(directory / "v2", age);
    set_age(directory.path(), age);
    CHECK(store.lookup(key).entry);
    CHECK(store.lookup_request(key).entry);
    CHECK(store.list().at(0).valid);
    CHECK(store.verify().valid == 1);
    CHECK(store.publish(make_key("two"), make_payload("two")).ok);
    CHECK(fs::remove(store.path_of(make_key("two"))));
  }
}

TEST_CASE("a store of a newer version beside ours is not touched") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const CacheKey key = make_key("one");
  REQUIRE(store.publish(key, make_payload("one")).ok);
  // The same tree, as a later version would lay it out, with files that are bad to us.
  const std::string newer = directory / "v3";
  fs::copy(directory / "v2", newer, fs::copy_options::recursive);
  const std::string entry = newer + '/' + key.directory() + '/' + key.file_name();
  const std::string temporary =
      newer + '/' + key.directory() + '/' + cache::make_temporary_name(key.file_name());
  write_all(entry, as_version(read_all(store.path_of(key)), 2));
  write_all(temporary, "x");
  write_all(newer + "/quarantine/00000000000000000001.1.1.corrupt." + key.file_name(), "x");
  set_age(temporary, 1h);

  CHECK(store.list().size() == 1);
  CHECK(store.verify().checked == 1);
  CHECK(store.lookup(key).entry);
  for (int i = 0; i < 17; ++i) CHECK(store.publish(key, make_payload("one")).ok);
  write_all(store.path_of(key), "damaged");
  CHECK(store.lookup(key).set_aside);
  CHECK(store.lookup(key).cause == MissCause::absent);  // the newer one is none for us
  CHECK_FALSE(store.lookup_request(key).entry);
  CHECK(store.publish(key, make_payload("one")).ok);
  CHECK(store.clear().entries == 1);
  CHECK_FALSE(exists(directory / "v2"));
  CHECK(count_files(newer, "") == 3);
  CHECK(read_all(entry).size() > 3000);
}

TEST_CASE("a store of the first layout is a clean miss, and clear removes it") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const CacheKey key = make_key("one");
  REQUIRE(store.publish(key, make_payload("one")).ok);
  const std::string old = directory / "v1/" + key.shard();
  fs::create_directories(old);
  fs::rename(store.path_of(key), old + '/' + key.file_name());
  write_all(old + '/' + cache::make_temporary_name(key.file_name()), "x");
  write_all(directory / "v1/quarantine/00000000000000000001.1.1.corrupt." + key.file_name(), "x");
  write_all(directory / "v1/notes", "not ours");
  write_all(directory / "usage/sizes", "x");

  CHECK(store.lookup(key).cause == MissCause::absent);
  CHECK(store.lookup_request(key).cause == MissCause::absent);
  CHECK(store.list().empty());
  CHECK(store.verify().checked == 0);
  CHECK(exists(old + '/' + key.file_name()));
  REQUIRE(store.publish(key, make_payload("one")).ok);
  CHECK(store.lookup(key).entry);
  const auto report = store.clear();
  CHECK(report.entries == 2);
  CHECK(report.quarantined == 1);
  CHECK(report.usage_files == 1);
  CHECK(count_files(directory.path(), "") == 2);  // the note, and what may still have a writer
  CHECK(exists(directory / "v1/notes"));
}

TEST_CASE("a newer entry under our version's name is set aside and rebuilt") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const CacheKey key = make_key("one");
  REQUIRE(store.publish(key, make_payload("one")).ok);
  write_all(store.path_of(key), as_version(read_all(store.path_of(key)), 2));
  const auto found = store.lookup(key);
  CHECK_FALSE(found.entry);
  CHECK(found.cause == MissCause::format);
  CHECK(found.set_aside);
  CHECK(found.detail.find("version 2") != std::string::npos);
  CHECK(store.publish(key, make_payload("one")).ok);
  CHECK(store.lookup(key).entry);
}

}  // namespace fourge::tests
