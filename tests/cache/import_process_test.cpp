// Imports on a real file system that is full, and imports that are killed.
#include <sched.h>
#include <sys/mount.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>

#include "cache/bundle_import.hpp"
#include "cache/evictor.hpp"
#include "tests/cache/bundle_support.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

using cache::BundleReader;
using cache::DiskStore;
using cache::TieredCache;

namespace {

constexpr int kNoMount = 77;
constexpr std::size_t kPayload = 20'000;

const std::vector<std::string>& names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> all;
    for (int i = 0; i < 12; ++i) all.push_back("entry " + std::to_string(i));
    return all;
  }();
  return kNames;
}

// 128 KiB: room for five of the twelve entries.
bool mount_small(const std::string& path) {
  if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", path.c_str(), "tmpfs", 0, "size=128k,mode=0700") == 0;
}

// The entries that are there, each of them the bundle's; -1 if one is not, or if a file was left.
int whole_entries(const std::string& root) {
  DiskStore store(root);
  int found = 0;
  for (const std::string& name : names()) {
    const auto result = store.lookup(make_key(name));
    if (!result.entry) {
      if (result.cause != cache::MissCause::absent) return -1;
      continue;
    }
    if (result.entry->payload != make_payload(name, kPayload)) return -1;
    ++found;
  }
  return found;
}

}  // namespace

TEST_CASE("import: a file system that becomes full holds whole entries, and the import says so") {
  const TemporaryDirectory directory;
  const TemporaryDirectory small;
  const std::string path = directory / "all.fourge";
  write_private(path, make_bundle(names(), nullptr, kPayload));
  ChildProcess child([&] {
    if (!mount_small(small.path())) return kNoMount;
    auto bundle = BundleReader::open(path, nullptr).reader;
    DiskStore local(small / "root");
    cache::Evictor evictor(small / "root");
    TieredCache store(&local, {}, false, &evictor);
    const auto report = cache::import_bundle(*bundle, store);
    if (report.failure.find("No space left") == std::string::npos) return 1;
    if (report.imported == 0 || report.imported >= names().size()) return 2;
    if (whole_entries(small / "root") != static_cast<int>(report.imported)) return 3;
    if (count_files(small.path(), ".tmp") != 0) return 4;
    // What is there still serves, and is not written again.
    const auto again = cache::import_bundle(*bundle, store);
    if (again.present != report.imported || again.failure.empty()) return 5;
    return local.verify().bad.empty() ? 0 : 6;
  });
  const int status = child.wait();
  if (status == kNoMount) {
    WARN(
        "no mounts are permitted here; bundle_import_test.cpp has the same with a fake file "
        "system");
    return;
  }
  CHECK(status == 0);
}

TEST_CASE("import: killed at any moment it leaves whole entries, and the next one ends it") {
  const TemporaryDirectory directory;
  const std::string path = directory / "all.fourge";
  write_private(path, make_bundle(names(), nullptr, kPayload));
  const std::string root = directory / "root";
  std::mt19937 random(20261121);
  const int rounds = std::getenv("FOURGE_LONG") == nullptr ? 30 : 200;
  for (int round = 0; round < rounds; ++round) {
    ChildProcess child([&] {
      auto bundle = BundleReader::open(path, nullptr).reader;
      DiskStore local(root);
      TieredCache store(&local, {}, false);
      return cache::import_bundle(*bundle, store).failure.empty() ? 0 : 1;
    });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
    child.kill();
    child.wait();
    REQUIRE(whole_entries(root) >= 0);
    if (whole_entries(root) == static_cast<int>(names().size())) {
      DiskStore(root).clear();
    }
  }
  auto bundle = BundleReader::open(path, nullptr).reader;
  DiskStore local(root);
  TieredCache store(&local, {}, false);
  const auto report = cache::import_bundle(*bundle, store);
  CHECK(report.failure.empty());
  CHECK(report.imported + report.present == names().size());
  CHECK(whole_entries(root) == static_cast<int>(names().size()));
}

}  // namespace fourge::tests
