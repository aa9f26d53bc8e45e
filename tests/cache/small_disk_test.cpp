// A store on a real file system that is full, or read-only. Needs a mount of its own, which a
// process may only make if it is root or may have a user namespace; elsewhere these tests say so
// and rest on disk_store_fault_test.cpp.
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>

#include "cache/disk_store.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using cache::CacheKey;
using cache::DiskStore;
using cache::MissCause;

namespace {

constexpr int kNoMount = 77;
constexpr std::size_t kPayload = 50'000;

// A file system of 128 KiB at the path, for this process alone and gone with it.
bool mount_small(const std::string& path) {
  if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", path.c_str(), "tmpfs", 0, "size=128k,mode=0700") == 0;
}

void check_child(int status) {
  if (status == kNoMount) {
    WARN("no mounts are permitted here");
    return;
  }
  CHECK(status == 0);
}

std::string name_of(int i) { return "key " + std::to_string(i); }

}  // namespace

TEST_CASE("a file system that is full takes no entry and gives those it has") {
  const TemporaryDirectory directory;
  ChildProcess child([&] {
    if (!mount_small(directory.path())) return kNoMount;
    DiskStore store(directory / "root");
    int fitted = 0;
    while (store.publish(make_key(name_of(fitted)), make_payload(name_of(fitted), kPayload)).ok) {
      if (++fitted > 10) return 1;
    }
    if (fitted == 0) return 2;
    const auto failed =
        store.publish(make_key(name_of(fitted)), make_payload(name_of(fitted), kPayload));
    if (failed.ok || failed.detail.find("No space left") == std::string::npos) return 3;
    if (count_files(directory.path(), ".tmp") != 0) return 4;
    for (int i = 0; i < fitted; ++i) {
      const auto found = store.lookup(make_key(name_of(i)));
      if (!found.entry || found.entry->payload != make_payload(name_of(i), kPayload)) return 5;
    }
    if (store.lookup(make_key(name_of(fitted))).cause != MissCause::absent) return 6;
    // A bad entry is still moved away: that takes no room to speak of.
    fs::resize_file(store.path_of(make_key(name_of(0))), 100);
    const auto bad = store.lookup(make_key(name_of(0)));
    if (bad.entry || bad.cause != MissCause::corrupt) return 7;
    if (store.clear().entries == 0) return 8;
    return store.publish(make_key("after"), make_payload("after")).ok ? 0 : 9;
  });
  check_child(child.wait());
}

TEST_CASE("a file system that becomes read-only gives what it has") {
  const TemporaryDirectory directory;
  ChildProcess child([&] {
    if (!mount_small(directory.path())) return kNoMount;
    DiskStore store(directory / "root");
    const CacheKey key = make_key("one");
    const CacheKey bad = make_key("bad");
    if (!store.publish(key, make_payload("one")).ok) return 1;
    write_all(store.path_of(bad), "damaged");
    if (::mount(nullptr, directory.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
      return kNoMount;
    }
    if (!store.lookup(key).entry) return 2;
    const auto published = store.publish(make_key("two"), make_payload("two"));
    if (published.ok || published.detail.find("Read-only") == std::string::npos) return 3;
    const auto refused = store.lookup(bad);
    if (refused.entry || refused.cause != MissCause::format || refused.set_aside) return 4;
    if (store.publish(bad, make_payload("bad")).ok) return 5;
    if (store.list().size() != 2 || store.verify().valid != 1) return 6;
    return store.clear().left.size() == 2 ? 0 : 7;
  });
  check_child(child.wait());
}

}  // namespace fourge::tests
