// Who is believed, and that nothing below a root is reached through a symbolic link.
#include "cache/trust.hpp"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fourge/error.hpp>

#include "cache/disk_store.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using cache::CacheKey;
using cache::DiskStore;
using cache::distrust;
using cache::FileStatus;
using cache::FileType;
using cache::LookupResult;
using cache::MissCause;
using cache::PublishResult;
using cache::TrustPolicy;

namespace {

FileStatus status_with(std::uint32_t owner, std::uint32_t group, std::uint32_t mode) {
  FileStatus status;
  status.type = FileType::regular;
  status.owner = owner;
  status.group = group;
  status.mode = mode;
  return status;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Sets the umask for one scope.
class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  ~Umask() { ::umask(before_); }
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;

 private:
  mode_t before_;
};

void check_refused(DiskStore& store, const CacheKey& key, const std::string& path,
                   const std::string& mode) {
  const LookupResult found = store.lookup(key);
  CAPTURE(found.detail);
  CHECK_FALSE(found.entry);
  CHECK(found.cause == MissCause::untrusted);
  CHECK_FALSE(found.set_aside);
  CHECK(contains(found.detail, path));
  CHECK(contains(found.detail, mode));
  CHECK(contains(found.detail, "owner " + std::to_string(::geteuid())));
  CHECK_FALSE(store.lookup_request(key).entry);
  if (path != store.path_of(key)) {
    CHECK(store.lookup_request(key).cause == MissCause::untrusted);
    CHECK(contains(store.lookup_request(key).detail, mode));
  }
  const PublishResult published = store.publish(key, make_payload("other"));
  CHECK_FALSE(published.ok);
  CHECK(contains(published.detail, path));
  CHECK(contains(published.detail, mode));
}

}  // namespace

TEST_CASE("trust depends on owner, group and mode") {
  TrustPolicy policy;
  policy.owner = 1000;
  CHECK(distrust(policy, status_with(1000, 7, 0600), "f").empty());
  CHECK(distrust(policy, status_with(1000, 7, 0755), "f").empty());
  CHECK(contains(distrust(policy, status_with(1001, 7, 0600), "f"), "owner 1001"));
  CHECK(contains(distrust(policy, status_with(0, 7, 0600), "f"), "owner 0"));
  CHECK(contains(distrust(policy, status_with(1000, 7, 0660), "f"), "mode 0660"));
  CHECK(contains(distrust(policy, status_with(1000, 7, 0602), "f"), "chmod go-w 'f'"));
  CHECK(contains(distrust(policy, status_with(1000, 7, 0660), "f"), "FOURGE_CACHE_GROUP"));

  policy.group = 7;
  CHECK(distrust(policy, status_with(1000, 7, 0660), "f").empty());
  CHECK(distrust(policy, status_with(1001, 7, 0660), "f").empty());
  CHECK_FALSE(distrust(policy, status_with(1000, 8, 0660), "f").empty());
  CHECK_FALSE(distrust(policy, status_with(1001, 8, 0600), "f").empty());
  CHECK_FALSE(distrust(policy, status_with(1000, 7, 0662), "f").empty());
  CHECK_FALSE(distrust(policy, status_with(0, 8, 0600), "f").empty());

  policy.accept_root = true;
  CHECK(distrust(policy, status_with(0, 8, 0644), "f").empty());
  CHECK_FALSE(distrust(policy, status_with(0, 8, 0664), "f").empty());

  FileStatus link = status_with(1000, 8, 0777);
  link.type = FileType::symbolic_link;
  CHECK(distrust(policy, link, "f").empty());
  link.owner = 1001;
  CHECK_FALSE(distrust(policy, link, "f").empty());
}

TEST_CASE("a group is found by name or number") {
  CHECK(cache::find_group("0") == 0);
  CHECK(cache::find_group("12345") == 12345);
  if (const struct group* const first = ::getgrgid(0)) {
    CHECK(cache::find_group(first->gr_name) == 0);
  }
  for (const char* const name : {"no such group", "-1", "4294967295", "99999999999", "", "12x"}) {
    CAPTURE(name);
    try {
      cache::find_group(name);
      FAIL("found");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::invalid_argument);
      CHECK(contains(error.what(), name));
    }
  }
}

TEST_CASE("whatever others may write is refused, said and left alone") {
  const TemporaryDirectory directory;
  const std::string root = directory / "root";
  DiskStore store(root);
  const CacheKey key = make_key("one");
  REQUIRE(store.publish(key, make_payload("one")).ok);
  const std::string shard = root + "/v2/" + key.directory();
  for (const std::string& path : {root, root + "/v2", shard, store.path_of(key)}) {
    const unsigned good = mode_of(path);
    for (const unsigned added : {0020U, 0002U}) {
      REQUIRE(::chmod(path.c_str(), good | added) == 0);
      CAPTURE(path);
      check_refused(store, key, path,
                    path == store.path_of(key) ? (added == 2 ? "0602" : "0620")
                                               : (added == 2 ? "0702" : "0720"));
    }
    REQUIRE(::chmod(path.c_str(), good) == 0);
    REQUIRE(store.lookup(key).entry);
    CHECK(store.lookup(key).entry->payload == make_payload("one"));
  }
  CHECK_FALSE(exists(store.quarantine_directory()));
  CHECK(count_files(root, "") == 1);
}

TEST_CASE("a bad entry that is not trusted stays where it is") {
  const TemporaryDirectory directory;
  DiskStore store(directory / "root");
  const CacheKey key = make_key("one");
  REQUIRE(store.publish(key, make_payload("one")).ok);
  write_all(store.path_of(key), "damaged");
  REQUIRE(::chmod(store.path_of(key).c_str(), 0666) == 0);
  check_refused(store, key, store.path_of(key), "0666");
  const auto report = store.verify();
  CHECK(report.set_aside == 0);
  REQUIRE(report.bad.size() == 1);
  CHECK(report.bad[0].cause == MissCause::untrusted);
  const auto cleared = store.clear();
  CHECK(cleared.entries == 0);
  REQUIRE(cleared.left.size() == 1);
  CHECK(contains(cleared.left[0], "0666"));
  CHECK(read_all(store.path_of(key)) == "damaged");
}

TEST_CASE("a cache of somebody else is refused") {
  const TemporaryDirectory directory;
  const CacheKey key = make_key("one");
  REQUIRE(DiskStore(directory.path()).publish(key, make_payload("one")).ok);
  TrustPolicy other;
  other.owner = ::geteuid() + 1;  // to that user all of this is somebody else's
  DiskStore store(directory.path(), cache::posix_file_system(), other);
  check_refused(store, key, directory.path(), "0700");
  CHECK_THROWS_AS(store.list(), Error);
  CHECK_THROWS_AS(store.clear(), Error);
  other.accept_root = true;
  DiskStore tier(directory.path(), cache::posix_file_system(), other);
  CHECK(tier.lookup(key).entry.has_value() == (::geteuid() == 0));
}

TEST_CASE("a named group may share a cache") {
  const TemporaryDirectory directory;
  const std::string root = directory / "root";
  const CacheKey key = make_key("one");
  TrustPolicy shared;
  shared.group = ::getegid();
  if (::geteuid() == 0) shared.group = 12345;  // not the group that new files get by themselves
  const Umask mask(0);
  DiskStore store(root, cache::posix_file_system(), shared);
  REQUIRE(store.publish(key, make_payload("one")).ok);
  for (const std::string& path : {root, root + "/v2", root + "/v2/" + key.directory()}) {
    CHECK(mode_of(path) == 02770);
    CHECK(group_of(path) == *shared.group);
  }
  // A slash at the end does not make it a parent of its own.
  const cache::Root slashed{directory / "slashed/", shared};
  REQUIRE(cache::posix_file_system()
              .make_directories(cache::FilePath(slashed, slashed.path + "/host"))
              .ok());
  CHECK(mode_of(slashed.path) == 02770);
  CHECK(group_of(slashed.path) == *shared.group);
  CHECK(mode_of(store.path_of(key)) == 0660);
  CHECK(group_of(store.path_of(key)) == *shared.group);
  CHECK(store.lookup(key).entry);

  // Another member of the group believes it, everybody else does not.
  shared.owner = ::geteuid() + 1;
  CHECK(DiskStore(root, cache::posix_file_system(), shared).lookup(key).entry);
  CHECK(DiskStore(root).lookup(key).cause == MissCause::untrusted);
  REQUIRE(::chmod(root.c_str(), 02772) == 0);
  CHECK(store.lookup(key).cause == MissCause::untrusted);
}

TEST_CASE("the umask takes away what it wants") {
  const TemporaryDirectory directory;
  const CacheKey key = make_key("one");
  TrustPolicy shared;
  shared.group = ::getegid();
  const auto modes = [&](const std::string& root, const TrustPolicy& policy) {
    DiskStore store(root, cache::posix_file_system(), policy);
    REQUIRE(store.publish(key, make_payload("one")).ok);
    CHECK(store.lookup(key).entry);
    return std::pair(mode_of(root + "/v2/" + key.directory()) & 0777U, mode_of(store.path_of(key)));
  };
  {
    const Umask mask(0);
    CHECK(modes(directory / "a", {}) == std::pair(0700U, 0600U));
    CHECK(modes(directory / "b", shared) == std::pair(0770U, 0660U));
  }
  {
    const Umask mask(077);
    CHECK(modes(directory / "c", {}) == std::pair(0700U, 0600U));
    CHECK(modes(directory / "d", shared) == std::pair(0700U, 0600U));
  }
  {
    const Umask mask(027);
    CHECK(modes(directory / "e", shared) == std::pair(0750U, 0640U));
  }
}

TEST_CASE("links lead to a root but not out of it") {
  const TemporaryDirectory directory;
  const CacheKey key = make_key("one");
  DiskStore elsewhere(directory / "elsewhere");
  REQUIRE(elsewhere.publish(key, make_payload("one")).ok);
  fs::create_directory(directory / "home");
  fs::create_symlink(directory / "home", directory / "link");
  const std::string root = directory / "link/cache";
  DiskStore store(root);
  REQUIRE(store.publish(key, make_payload("mine")).ok);
  CHECK(store.lookup(key).entry->payload == make_payload("mine"));

  const std::string outside = directory / "elsewhere/v2";
  std::string victim;
  std::string target;
  SECTION("the version directory") {
    victim = root + "/v2";
    target = outside;
  }
  SECTION("a shard") {
    victim = root + "/v2/" + key.directory();
    target = outside + '/' + key.shard();
  }
  fs::remove_all(victim);
  fs::create_symlink(target, victim);
  write_all(elsewhere.path_of(make_key("two")), "damaged");
  const std::size_t files_outside = count_files(directory / "elsewhere", "");
  const LookupResult found = store.lookup(key);
  CHECK_FALSE(found.entry);
  CHECK(found.cause == MissCause::unreadable);
  CHECK_FALSE(store.lookup_request(key).entry);
  CHECK_FALSE(store.publish(key, make_payload("mine")).ok);
  CHECK_FALSE(store.lookup(make_key("two")).set_aside);
  try {
    const std::size_t removed = store.clear().entries;
    CHECK(removed == 0);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::io);
  }
  CHECK(count_files(directory / "elsewhere", "") == files_outside);
  CHECK(elsewhere.lookup(key).entry);
}

TEST_CASE("a path cannot climb out of its root") {
  const TemporaryDirectory directory;
  write_all(directory / "secret", "x");
  const cache::Root root{directory / "root", {}};
  fs::create_directory(root.path);
  auto& files = cache::posix_file_system();
  for (const std::string& text : std::vector<std::string>{
           root.path + "/../secret", root.path + "/./x", root.path + "//x", root.path + "x/y",
           root.path + "/x/", directory / "secret", std::string()}) {
    CAPTURE(text);
    CHECK(files.read_file({root, text}, 100).error == EINVAL);
    CHECK(files.remove({root, text}).error == EINVAL);
    CHECK(files.make_directories({root, text}).error == EINVAL);
  }
  CHECK(exists(directory / "secret"));
}

}  // namespace fourge::tests
