#include "cache/tiered_cache.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>

#include "tests/cache/bundle_support.hpp"
#include "tests/cache/faulty_file_system.hpp"
#include "tests/support/catch.hpp"

using namespace fourge::cache;
using namespace fourge::tests;
namespace fs = std::filesystem;

namespace {

using Tiers = std::vector<std::unique_ptr<ReadOnlyTier>>;

void fill(const std::string& root, const std::vector<std::string>& names) {
  DiskStore store(root);
  for (const std::string& name : names) {
    if (!store.publish(make_key(name), make_payload(name)).ok) throw std::runtime_error(root);
  }
}

std::string entry_path(const std::string& root, const std::string& name) {
  return DiskStore(root).path_of(make_key(name));
}

void flip_last_byte(const std::string& path) {
  std::string bytes = read_all(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_all(path, bytes);
}

// Everything below a directory: path, mode, size and contents.
std::map<std::string, std::string> snapshot(const std::string& root) {
  std::map<std::string, std::string> found;
  for (const auto& item : fs::recursive_directory_iterator(root)) {
    const std::string path = item.path().string();
    found[path] = std::to_string(mode_of(path)) + ' ' +
                  (item.is_regular_file() ? read_all(path) : std::string());
  }
  return found;
}

}  // namespace

TEST_CASE("tiers: asked in the order they are given") {
  // Which of the two directories and the bundle has the entry, and in which order they are asked.
  const TemporaryDirectory directory;
  fill(directory / "one", {"a"});
  fill(directory / "two", {"a", "b"});
  write_private(directory / "three.fourge", make_bundle({"a", "b", "c"}, nullptr, 3000));
  std::vector<std::string> order{directory / "one", directory / "three.fourge", directory / "two"};
  std::sort(order.begin(), order.end());
  do {
    Tiers lower;
    for (const std::string& path : order) lower.push_back(make_read_only_tier(path, {}));
    TieredCache tiers(nullptr, std::move(lower), true);
    for (const std::string name : {"a", "b", "c"}) {
      const auto has = [&](const std::string& path) {
        return path.ends_with("three.fourge") || name == "a" ||
               (name == "b" && path.ends_with("two"));
      };
      const auto expected = std::find_if(order.begin(), order.end(), has);
      for (const TieredResult& found :
           {tiers.lookup(make_key(name)), tiers.lookup_request(make_key(name))}) {
        REQUIRE(found.entry);
        CHECK(found.entry->payload == make_payload(name));
        CHECK(found.path == *expected);
        CHECK(found.tier == static_cast<std::size_t>(expected - order.begin()));
        CHECK(found.kind ==
              (expected->ends_with(".fourge") ? TierKind::bundle : TierKind::directory));
        CHECK(found.misses.size() == found.tier);
        CHECK_FALSE(found.promoted);
        CHECK(found.warnings.empty());
      }
    }
    const TieredResult missing = tiers.lookup(make_key("d"));
    CHECK_FALSE(missing.entry);
    CHECK(missing.misses.size() == 3);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("tiers: a hit in a lower one is promoted, once") {
  const TemporaryDirectory directory;
  fill(directory / "lower", {"a"});
  const auto before = snapshot(directory / "lower");
  DiskStore local(directory / "local");
  Tiers lower;
  lower.push_back(make_read_only_tier(directory / "lower", {}));
  TieredCache tiers(&local, std::move(lower), true);
  const TieredResult first = tiers.lookup(make_key("a"));
  REQUIRE(first.entry);
  CHECK(first.tier == 1);
  CHECK(first.promoted);
  const TieredResult second = tiers.lookup(make_key("a"));
  REQUIRE(second.entry);
  CHECK(second.tier == 0);
  CHECK(second.kind == TierKind::local);
  CHECK_FALSE(second.promoted);
  CHECK(read_all(entry_path(directory / "local", "a")) ==
        read_all(entry_path(directory / "lower", "a")));
  CHECK(snapshot(directory / "lower") == before);
  const TieredCounters counters = tiers.counters();
  REQUIRE(counters.tiers.size() == 2);
  CHECK(counters.tiers[0].hits == 1);
  CHECK(counters.tiers[1].hits == 1);
  CHECK(counters.tiers[0].misses[static_cast<std::size_t>(MissCause::absent)] == 1);
  CHECK(counters.promotions == 1);
}

TEST_CASE("tiers: promotion can be off, and a look-up by request promotes too") {
  const TemporaryDirectory directory;
  write_private(directory / "lower.fourge", make_bundle({"a"}, nullptr));
  DiskStore local(directory / "local");
  for (const bool promote : {false, true}) {
    Tiers lower;
    lower.push_back(make_read_only_tier(directory / "lower.fourge", {}));
    TieredCache tiers(&local, std::move(lower), promote);
    const TieredResult found = tiers.lookup_request(make_key("a"));
    REQUIRE(found.entry);
    CHECK(found.promoted == promote);
    CHECK(exists(directory / "local") == promote);
  }
  CHECK(local.lookup(make_key("a")).entry);
}

TEST_CASE("tiers: a failed promotion is counted and nothing else") {
  const TemporaryDirectory directory;
  fill(directory / "lower", {"a"});
  FaultyFileSystem full([](Operation operation, const std::string&) {
    return operation == Operation::write || operation == Operation::make_directories ? ENOSPC : 0;
  });
  DiskStore local(directory / "local", full);
  Tiers lower;
  lower.push_back(make_read_only_tier(directory / "lower", {}));
  TieredCache tiers(&local, std::move(lower), true);
  const TieredResult found = tiers.lookup(make_key("a"));
  REQUIRE(found.entry);
  CHECK_FALSE(found.promoted);
  CHECK(found.promotion_failed);
  CHECK(found.warnings.empty());
  CHECK(tiers.counters().promotion_failures == 1);
  CHECK_FALSE(exists(directory / "local"));
}

TEST_CASE("tiers: making them touches nothing, a hit touches no tier below") {
  const TemporaryDirectory directory;
  std::size_t local_calls = 0;
  std::size_t lower_calls = 0;
  FaultyFileSystem local_files([&](Operation, const std::string&) {
    ++local_calls;
    return 0;
  });
  FaultyFileSystem lower_files([&](Operation operation, const std::string&) {
    ++lower_calls;
    const bool reads = operation == Operation::read || operation == Operation::list ||
                       operation == Operation::status;
    CHECK(reads);
    return 0;
  });
  MemoryFile bundle{make_bundle({"c"}, nullptr)};
  fill(directory / "lower", {"b"});
  DiskStore local(directory / "local", local_files);
  Tiers lower;
  lower.push_back(make_directory_tier(directory / "lower", {}, lower_files));
  lower.push_back(make_bundle_tier("bundle.fourge", {}, {}, bundle.opener()));
  TieredCache tiers(&local, std::move(lower), false);
  CHECK(tiers.path_of(make_key("a")) == entry_path(directory / "local", "a"));
  CHECK(local_calls + lower_calls + bundle.opens == 0);
  CHECK_FALSE(tiers.lookup(make_key("x")).entry);
  CHECK_FALSE(exists(directory / "local"));

  REQUIRE(tiers.publish(make_key("a"), make_payload("a")).ok);
  lower_calls = 0;
  bundle.reads = 0;
  CHECK(tiers.lookup(make_key("a")).entry);
  CHECK(lower_calls + bundle.reads == 0);
  CHECK(tiers.lookup(make_key("b")).entry);
  CHECK(lower_calls > 0);
  CHECK(bundle.reads == 0);
  CHECK(tiers.lookup(make_key("c")).entry);
  CHECK(bundle.opens == 1);  // once, for all look-ups
}

TEST_CASE("tiers: a bad entry in a read-only one is passed over, counted, warned of once, left") {
  const TemporaryDirectory directory;
  fill(directory / "bad", {"a", "b"});
  fill(directory / "good", {"a", "b"});
  flip_last_byte(entry_path(directory / "bad", "a"));
  flip_last_byte(entry_path(directory / "bad", "b"));
  const auto before = snapshot(directory / "bad");
  Tiers lower;
  lower.push_back(make_read_only_tier(directory / "bad", {}));
  lower.push_back(make_read_only_tier(directory / "good", {}));
  TieredCache tiers(nullptr, std::move(lower), true);
  const TieredResult first = tiers.lookup(make_key("a"));
  REQUIRE(first.entry);
  CHECK(first.path == directory / "good");
  REQUIRE(first.misses.size() == 1);
  CHECK(first.misses[0].cause == MissCause::corrupt);
  REQUIRE(first.warnings.size() == 1);
  CHECK(first.warnings[0].find(entry_path(directory / "bad", "a")) != std::string::npos);
  const TieredResult second = tiers.lookup(make_key("b"));
  CHECK(second.entry);
  CHECK(second.warnings.empty());
  CHECK(tiers.lookup_request(make_key("a")).entry);
  CHECK(tiers.counters().tiers[0].misses[static_cast<std::size_t>(MissCause::corrupt)] == 3);
  CHECK(snapshot(directory / "bad") == before);
}

TEST_CASE("tiers: a bad local entry is healed by a lower tier") {
  const TemporaryDirectory directory;
  fill(directory / "local", {"a"});
  fill(directory / "lower", {"a"});
  flip_last_byte(entry_path(directory / "local", "a"));
  DiskStore local(directory / "local");
  Tiers lower;
  lower.push_back(make_read_only_tier(directory / "lower", {}));
  TieredCache tiers(&local, std::move(lower), true);
  const TieredResult found = tiers.lookup(make_key("a"));
  REQUIRE(found.entry);
  REQUIRE(found.misses.size() == 1);
  CHECK(found.misses[0].set_aside);
  CHECK(found.promoted);
  CHECK(tiers.lookup(make_key("a")).tier == 0);
}

TEST_CASE("tiers: a read-only directory that was moved or copied serves as before") {
  const TemporaryDirectory directory;
  fill(directory / "made", {"a"});
  fs::create_directories(directory / "image/opt");
  fs::copy(directory / "made", directory / "image/opt/cache", fs::copy_options::recursive);
  fs::remove_all(directory / "made");
  fs::permissions(directory / "image/opt/cache/v2", fs::perms(0555));
  Tiers lower;
  lower.push_back(make_read_only_tier(directory / "image/opt/cache", {}));
  TieredCache tiers(nullptr, std::move(lower), true);
  CHECK(tiers.lookup(make_key("a")).entry);
  fs::permissions(directory / "image/opt/cache/v2", fs::perms(0755));
}

TEST_CASE("tiers: what others may write in a read-only directory is untrusted") {
  const TemporaryDirectory directory;
  fill(directory / "root", {"a"});
  const std::string entry = entry_path(directory / "root", "a");
  const auto cause_with_mode = [&](const std::string& path, unsigned mode) {
    const unsigned old = mode_of(path);
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    Tiers lower;
    lower.push_back(make_read_only_tier(directory / "root", {}));
    TieredCache tiers(nullptr, std::move(lower), true);
    const TieredResult found = tiers.lookup(make_key("a"));
    const TieredResult by_request = tiers.lookup_request(make_key("a"));
    REQUIRE(::chmod(path.c_str(), old) == 0);
    CHECK(found.entry.has_value() == by_request.entry.has_value());
    return found.entry ? MissCause::absent : found.misses.at(0).cause;
  };
  CHECK(cause_with_mode(entry, 0644) == MissCause::absent);  // found
  CHECK(cause_with_mode(entry, 0664) == MissCause::untrusted);
  CHECK(cause_with_mode(entry, 0646) == MissCause::untrusted);
  CHECK(cause_with_mode(directory / "root", 0777) == MissCause::untrusted);
  CHECK(cause_with_mode(fs::path(entry).parent_path().string(), 0770) == MissCause::untrusted);
}

TEST_CASE("tiers: a link in a read-only directory is not followed") {
  const TemporaryDirectory directory;
  fill(directory / "root", {"a"});
  const std::string entry = entry_path(directory / "root", "a");
  fs::rename(entry, directory / "elsewhere");
  fs::create_symlink(directory / "elsewhere", entry);
  Tiers lower;
  lower.push_back(make_read_only_tier(directory / "root", {}));
  TieredCache tiers(nullptr, std::move(lower), true);
  const TieredResult found = tiers.lookup(make_key("a"));
  CHECK_FALSE(found.entry);
  CHECK(found.misses.at(0).cause == MissCause::untrusted);
}

TEST_CASE("tiers: a bundle that is not there yet is tried again, a refused one is not") {
  MemoryFile file{make_bundle({"a"}, nullptr)};
  file.open_error = ENOENT;
  Tiers lower;
  lower.push_back(make_bundle_tier("late.fourge", {}, {}, file.opener()));
  TieredCache tiers(nullptr, std::move(lower), true);
  CHECK(tiers.lookup(make_key("a")).misses.at(0).cause == MissCause::absent);
  file.open_error = ESTALE;
  CHECK(tiers.lookup(make_key("a")).misses.at(0).cause == MissCause::unreadable);
  file.open_error = 0;
  CHECK(tiers.lookup(make_key("a")).entry);

  MemoryFile other{make_bundle({"a"}, nullptr)};
  other.mode = 0666;
  Tiers refused;
  refused.push_back(make_bundle_tier("open.fourge", {}, {}, other.opener()));
  TieredCache distrusting(nullptr, std::move(refused), true);
  for (int i = 0; i < 3; ++i) {
    const TieredResult found = distrusting.lookup(make_key("a"));
    CHECK_FALSE(found.entry);
    CHECK(found.misses.at(0).cause == MissCause::untrusted);
    CHECK(found.warnings.size() == (i == 0 ? 1U : 0U));
  }
  CHECK(other.opens == 1);
}

TEST_CASE("tiers: without the public key no bundle is used, until it is there") {
  const TemporaryDirectory directory;
  MemoryFile file{make_bundle({"a"}, nullptr)};
  Tiers lower;
  lower.push_back(make_bundle_tier("a.fourge", directory / "late.pem", {}, file.opener()));
  TieredCache tiers(nullptr, std::move(lower), true);
  const TieredResult found = tiers.lookup(make_key("a"));
  CHECK_FALSE(found.entry);
  CHECK(found.misses.at(0).cause == MissCause::unreadable);
  CHECK(found.misses.at(0).detail.find("late.pem") != std::string::npos);
  CHECK(file.opens == 0);
  // No key: that is not looked at again.
  std::ofstream(directory / "late.pem") << "no key";
  CHECK(tiers.lookup(make_key("a")).misses.at(0).cause == MissCause::untrusted);
  CHECK(tiers.lookup(make_key("a")).misses.at(0).cause == MissCause::untrusted);
  CHECK(file.opens == 0);
}

TEST_CASE("tiers: without any there is only a miss") {
  TieredCache none(nullptr, {}, true);
  CHECK_FALSE(none.lookup(make_key("a")).entry);
  CHECK(none.path_of(make_key("a")).empty());
  CHECK_FALSE(none.publish(make_key("a"), make_payload("a")).ok);
  DiskStore off("");
  TieredCache disabled(&off, {}, true);
  CHECK(disabled.tiers() == 0);
}

TEST_CASE("tiers: the evictor bounds what is published and promoted") {
  const TemporaryDirectory directory;
  std::vector<std::string> names;
  for (int i = 0; i < 20; ++i) names.push_back("spec " + std::to_string(i));
  fill(directory / "lower", names);
  EvictionPolicy policy;
  policy.byte_limit = 8 * encoded_entry_bytes(make_key("spec 1"), 3000);
  policy.keep_recent = 1;
  policy.in_use_window = std::chrono::milliseconds(0);
  policy.stamp_interval = std::chrono::milliseconds(0);
  Evictor evictor(directory / "local", policy);
  DiskStore local(directory / "local");
  Tiers lower;
  lower.push_back(make_read_only_tier(directory / "lower", {}));
  TieredCache tiers(&local, std::move(lower), true, &evictor);
  for (const std::string& name : names) CHECK(tiers.lookup(make_key(name)).promoted);
  CHECK(tiers.lookup(make_key(names.back())).tier == 0);
  const std::size_t kept = count_files(directory / "local/v2", ".fourge");
  CHECK(kept >= 1);
  CHECK(kept <= 8);
  CHECK(count_files(directory / "lower", ".fourge") == names.size());
}
