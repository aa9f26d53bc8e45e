// Imports that end early, at any step: what is in the store then is whole, and the next import ends it.
#include "cache/bundle_import.hpp"

#include <cerrno>
#include <filesystem>

#include "tests/cache/bundle_support.hpp"
#include "tests/cache/faulty_file_system.hpp"
#include "tests/support/catch.hpp"

using namespace fourge::cache;
using namespace fourge::tests;

namespace {

const std::vector<std::string> kNames{"a", "b", "c", "d", "e"};

std::unique_ptr<BundleReader> open_bundle(const std::string& path) {
  auto opened = BundleReader::open(path, nullptr);
  if (!opened.reader) throw std::runtime_error(opened.detail);
  return std::move(opened.reader);
}

// Of the entries that are there: each is one of the bundle's, whole. Their number.
std::size_t check_whole(const std::string& root) {
  DiskStore store(root);
  const VerifyReport report = store.verify();
  CHECK(report.bad.empty());
  CHECK(count_files(root, ".tmp") == 0);
  std::size_t found = 0;
  for (const std::string& name : kNames) {
    const LookupResult result = store.lookup(make_key(name));
    if (!result.entry) continue;
    ++found;
    CHECK(result.entry->payload == make_payload(name, 40));
  }
  CHECK(found == report.valid);
  return found;
}

}  // namespace

TEST_CASE("import: an error at any step of any entry leaves whole entries only") {
  const TemporaryDirectory directory;
  write_private(directory / "all.fourge", make_bundle(kNames, nullptr));
  auto bundle = open_bundle(directory / "all.fourge");
  int number = 0;
  for (const int error : {ENOSPC, EIO, EROFS, EDQUOT}) {
    for (const Operation step :
         {Operation::write, Operation::rename, Operation::make_directories}) {
      for (std::size_t good = 0; good < kNames.size(); ++good) {
        const std::string root = directory / std::to_string(++number);
        std::size_t seen = 0;
        bool broken = false;
        FaultyFileSystem files([&](Operation operation, const std::string& path) {
          const bool ours = path.find("/usage") == std::string::npos;
          broken = broken || (operation == step && ours && seen++ == good);
          return broken && operation == step && ours ? error : 0;
        });
        DiskStore local(root, files);
        TieredCache store(&local, {}, false);
        const ImportReport report = import_bundle(*bundle, store);
        CAPTURE(error, static_cast<int>(step), good);
        CHECK(report.present == 0);
        CHECK(report.imported < kNames.size());
        CHECK(report.failure.find(describe_errno(error)) != std::string::npos);
        CHECK(check_whole(root) == report.imported);

        DiskStore repaired(root);
        TieredCache again(&repaired, {}, false);
        const ImportReport rest = import_bundle(*bundle, again);
        CHECK(rest.failure.empty());
        CHECK(rest.present == report.imported);
        CHECK(rest.imported == kNames.size() - report.imported);
        CHECK(check_whole(root) == kNames.size());
      }
    }
  }
}

TEST_CASE("import: a bundle that changes while it is read ends the import at the bad entry") {
  const TemporaryDirectory directory;
  const std::string path = directory / "all.fourge";
  write_private(path, make_bundle(kNames, nullptr));
  auto bundle = open_bundle(path);
  const BundleItem third = bundle->item(2);
  std::string bytes = read_all(path);
  const auto last = static_cast<std::size_t>(third.offset + third.length) - 1;
  bytes[last] = static_cast<char>(bytes[last] ^ 1);
  write_private(path, bytes);
  DiskStore local(directory / "root");
  TieredCache store(&local, {}, false);
  const ImportReport report = import_bundle(*bundle, store);
  CHECK(report.imported == 2);
  CHECK(report.failure.find("a bad entry (corrupt)") == 0);
  CHECK(check_whole(directory / "root") == 2);
}

TEST_CASE("import: a damaged entry in the store is replaced by the bundle's") {
  const TemporaryDirectory directory;
  write_private(directory / "all.fourge", make_bundle(kNames, nullptr));
  auto bundle = open_bundle(directory / "all.fourge");
  DiskStore local(directory / "root");
  TieredCache store(&local, {}, false);
  REQUIRE(import_bundle(*bundle, store).imported == kNames.size());
  write_all(local.path_of(make_key("b")), "damaged");
  const ImportReport report = import_bundle(*bundle, store);
  CHECK(report.imported == 1);
  CHECK(report.present == kNames.size() - 1);
  CHECK(check_whole(directory / "root") == kNames.size());
}
