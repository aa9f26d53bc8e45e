// Look-ups by request: what a process without a compiler can do.
#include "cache/bundle_writer.hpp"
#include "cache/tiered_cache.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/cache/faulty_file_system.hpp"
#include "tests/support/catch.hpp"

#include <chrono>
#include <filesystem>
#include <memory>

using fourge::cache::CacheKey;
using fourge::cache::DiskStore;
using fourge::cache::KeyBuilder;
using fourge::cache::MissCause;
using fourge::tests::make_payload;
using fourge::tests::TemporaryDirectory;

namespace {

CacheKey key_of(const std::string& spec, const std::string& toolchain) {
  return KeyBuilder().field("spec", spec).toolchain("nvrtc", toolchain).finish();
}

void age(const DiskStore& store, const CacheKey& key, std::chrono::hours hours) {
  std::filesystem::last_write_time(store.path_of(key),
                                   std::filesystem::file_time_type::clock::now() - hours);
}

}  // namespace

TEST_CASE("a request finds the newest entry, whatever toolchain made it") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const CacheKey asked = key_of("a", "");
  CHECK_FALSE(store.lookup_request(asked).entry);
  const CacheKey older = key_of("a", "13.0");
  const CacheKey newer = key_of("a", "13.1");
  REQUIRE(older.request == asked.request);
  REQUIRE_FALSE(older.full == asked.full);
  REQUIRE(store.publish(older, make_payload("older")).ok);
  REQUIRE(store.publish(newer, make_payload("newer")).ok);
  age(store, older, std::chrono::hours(2));
  REQUIRE(store.lookup_request(asked).entry);
  CHECK(store.lookup_request(asked).entry->payload == make_payload("newer"));
  age(store, newer, std::chrono::hours(4));
  CHECK(store.lookup_request(asked).entry->payload == make_payload("older"));
  CHECK_FALSE(store.lookup_request(key_of("b", "")).entry);
}

TEST_CASE("a request passes over entries that are not good") {
  const TemporaryDirectory directory;
  DiskStore store(directory.path());
  const CacheKey good = key_of("a", "13.0");
  const CacheKey bad = key_of("a", "13.1");
  REQUIRE(store.publish(good, make_payload("good")).ok);
  fourge::tests::write_all(store.path_of(bad), "not an entry");
  CHECK(store.lookup_request(good).entry->payload == make_payload("good"));
  // Another request's entry under a name that begins like this one's.
  const CacheKey other = key_of("b", "13.0");
  REQUIRE(store.publish(other, make_payload("other")).ok);
  std::filesystem::copy_file(store.path_of(other), store.path_of(bad),
                             std::filesystem::copy_options::overwrite_existing);
  CHECK(store.lookup_request(good).entry->payload == make_payload("good"));
}

TEST_CASE("tiers: a look-up by request tries the next entry when one is refused") {
  const TemporaryDirectory directory;
  DiskStore store(directory / "directory");
  const std::vector<CacheKey> keys{key_of("a", "13.0"), key_of("a", "13.1"), key_of("a", "13.2")};
  fourge::cache::BundleWriter writer;
  for (const CacheKey& key : keys) {
    REQUIRE(store.publish(key, make_payload(key.full.hex())).ok);
    writer.add(store.path_of(key));
  }
  std::string bundle;
  writer.write(
      [&](std::span<const std::byte> bytes) {
        bundle.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      },
      nullptr);
  fourge::tests::write_all(directory / "bundle.fourge", bundle);

  for (const char* const name : {"directory", "bundle.fourge"}) {
    CAPTURE(name);
    std::vector<std::unique_ptr<fourge::cache::ReadOnlyTier>> lower;
    lower.push_back(fourge::cache::make_read_only_tier(directory / name, {}));
    fourge::cache::TieredCache tiers(nullptr, std::move(lower), false);
    for (const CacheKey& wanted : keys) {
      std::size_t refused = 0;
      const auto found = tiers.lookup_request(
          key_of("a", ""),
          [&](const fourge::cache::Entry& entry) -> std::optional<fourge::cache::EntryRefusal> {
            if (entry.key_hex == wanted.full.hex()) return std::nullopt;
            ++refused;
            return fourge::cache::EntryRefusal{MissCause::key, "not this one"};
          });
      CHECK(refused <= 2);
      REQUIRE(found.entry);
      CHECK(found.entry->payload == make_payload(wanted.full.hex()));
    }
    const auto none = tiers.lookup_request(key_of("a", ""), [](const fourge::cache::Entry&) {
      return std::optional(fourge::cache::EntryRefusal{MissCause::key, "none at all"});
    });
    CHECK_FALSE(none.entry);
    REQUIRE(none.misses.size() == 1);
    CHECK(none.misses[0].cause == MissCause::key);
    CHECK(none.misses[0].detail.find("none at all") != std::string::npos);
    CHECK(none.warnings.size() == 1);
  }
}

TEST_CASE("a look-up by request lists few names, however many entries there are") {
  const TemporaryDirectory directory;
  std::size_t lists = 0;
  std::size_t reads = 0;
  fourge::tests::FaultyFileSystem files(
      [&](fourge::tests::Operation operation, const std::string& path) {
        if (operation == fourge::tests::Operation::list) {
          ++lists;
          const auto names = std::filesystem::directory_iterator(path);
          CHECK(std::distance(begin(names), end(names)) <= 4);
        }
        reads += operation == fourge::tests::Operation::read ? 1U : 0U;
        return 0;
      });
  DiskStore store(directory.path(), files);
  constexpr int kEntries = 2000;
  for (int i = 0; i < kEntries; ++i) {
    // Without a sync: what is written here need not last.
    const CacheKey key = key_of(std::to_string(i), "13.0");
    fourge::tests::write_all(store.path_of(key), fourge::cache::encode_entry(key, {}));
  }
  for (int i = 0; i < kEntries; i += 20) {
    lists = 0;
    reads = 0;
    CHECK(store.lookup_request(key_of(std::to_string(i), "")).entry);
    CHECK(lists == 1);
    CHECK(reads == 1);
  }
}
