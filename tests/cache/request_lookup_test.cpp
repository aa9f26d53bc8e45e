// Look-ups by request: what a process without a compiler can do.
#include "cache/disk_store.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/support/catch.hpp"

#include <chrono>
#include <filesystem>

using fourge::cache::CacheKey;
using fourge::cache::DiskStore;
using fourge::cache::KeyBuilder;
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
