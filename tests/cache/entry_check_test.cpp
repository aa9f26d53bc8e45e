// A payload that only the caller can judge: an entry that it refuses is a bad entry.
#include <filesystem>
#include <stdexcept>

#include "cache/disk_store.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

using cache::CacheKey;
using cache::DiskStore;
using cache::Entry;
using cache::EntryRefusal;
using cache::MissCause;

TEST_CASE("an entry that the caller refuses is set aside with the caller's reason") {
  const TemporaryDirectory directory;
  DiskStore store(directory / "cache");
  const CacheKey key = make_key("one");
  REQUIRE(store.publish(key, make_payload("another")).ok);
  const auto check = [&](const Entry& entry) -> std::optional<EntryRefusal> {
    if (entry.payload == make_payload("one")) return std::nullopt;
    return EntryRefusal{MissCause::key, "it is another kernel"};
  };
  const auto refused = store.lookup(key, check);
  CHECK_FALSE(refused.entry);
  CHECK(refused.cause == MissCause::key);
  CHECK(refused.set_aside);
  CHECK(refused.detail == store.path_of(key) + ": it is another kernel");
  CHECK_FALSE(exists(store.path_of(key)));
  REQUIRE(count_files(store.quarantine_directory(), ".fourge") == 1);
  const auto file = std::filesystem::directory_iterator(store.quarantine_directory())->path();
  CHECK(file.filename().string().find(".key.") != std::string::npos);

  REQUIRE(store.publish(key, make_payload("one")).ok);
  const auto found = store.lookup(key, check);
  REQUIRE(found.entry);
  CHECK(found.entry->payload == make_payload("one"));
}

TEST_CASE("a look-up by request passes over what the caller refuses") {
  const TemporaryDirectory directory;
  DiskStore store(directory / "cache");
  const CacheKey key = make_key("one");
  REQUIRE(store.publish(key, make_payload("another")).ok);
  const auto none = [](const Entry&) { return std::optional(EntryRefusal{}); };
  const auto any = [](const Entry&) { return std::optional<EntryRefusal>(); };
  CHECK_FALSE(store.lookup_request(key, none).entry);
  CHECK(store.lookup_request(key, any).entry);
  CHECK(exists(store.path_of(key)));
}

TEST_CASE("a check that throws is a miss and moves nothing") {
  const TemporaryDirectory directory;
  DiskStore store(directory / "cache");
  const CacheKey key = make_key("one");
  REQUIRE(store.publish(key, make_payload("one")).ok);
  const auto broken = [](const Entry&) -> std::optional<EntryRefusal> {
    throw std::runtime_error("no memory to judge it");
  };
  const auto result = store.lookup(key, broken);
  CHECK_FALSE(result.entry);
  CHECK_FALSE(result.set_aside);
  CHECK(result.detail.find("no memory to judge it") != std::string::npos);
  CHECK_FALSE(store.lookup_request(key, broken).entry);
  CHECK(store.lookup(key).entry);
}

}  // namespace fourge::tests
