// Random damage of a whole store: nothing bad is ever given out, nothing blocks, and one publish
// makes the entry good again. FOURGE_LONG=1 (the label long) gives 10^4 rounds, another number so many.
#include <sys/stat.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <random>

#include "cache/disk_store.hpp"
#include "cache/posix_file_system.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using cache::CacheKey;
using cache::DiskStore;
using cache::LookupResult;
using cache::MissCause;

namespace {

constexpr std::uint64_t kSeed = 20'261'121;
constexpr std::size_t kQuickRounds = 1000;
constexpr std::size_t kLongRounds = 10'000;
constexpr std::size_t kKeys = 12;
constexpr std::size_t kPage = 4096;
// Reading a few kilobytes takes far less, waiting for the writer of a FIFO far more.
constexpr std::chrono::seconds kBlocked{5};

std::size_t rounds() {
  const char* const value = std::getenv("FOURGE_LONG");
  if (value == nullptr) return kQuickRounds;
  const auto number = std::strtoull(value, nullptr, 10);
  return number == 0 ? kQuickRounds : number == 1 ? kLongRounds : std::size_t{number};
}

// Lasting through a crash of the machine is not the subject, and takes most of the time.
class UnsyncedFileSystem : public cache::PosixFileSystem {
 protected:
  int sys_fsync(int) override { return 0; }
};

enum class Damage { flip, cut, extend, swap, zero_page, directory, link, fifo };
constexpr std::array kDamages{Damage::flip,      Damage::cut,       Damage::extend, Damage::swap,
                              Damage::zero_page, Damage::directory, Damage::link,   Damage::fifo};

struct Case {
  CacheKey key;
  std::vector<std::byte> payload;
  std::string path;
  std::string good;  // the file's bytes
};

class Vandal {
 public:
  Vandal(std::uint64_t seed, std::string outside) : random_(seed), outside_(std::move(outside)) {}

  std::size_t below(std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_);
  }

  void damage(Damage damage, const Case& victim, const Case& other) {
    std::string bytes = victim.good;
    switch (damage) {
      case Damage::flip: {
        const std::size_t at = below(bytes.size());
        bytes[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ (1U << below(8)));
        return write_all(victim.path, bytes);
      }
      case Damage::cut:
        return write_all(victim.path, bytes.substr(0, below(bytes.size())));
      case Damage::extend: {
        const std::size_t more = 1 + below(2 * kPage);
        for (std::size_t i = 0; i < more; ++i) bytes += static_cast<char>(below(256));
        return write_all(victim.path, bytes);
      }
      case Damage::swap:
        return fs::rename(swapped(victim, other), victim.path);
      case Damage::zero_page: {
        // A page that is not zero already; payloads have none, and the last one is a short one.
        const std::size_t at = below((bytes.size() + kPage - 1) / kPage) * kPage;
        const std::size_t count = std::min(kPage, bytes.size() - at);
        return write_all(victim.path, bytes.replace(at, count, std::string(count, '\0')));
      }
      case Damage::directory:
        fs::remove(victim.path);
        fs::create_directory(victim.path);
        if (below(2) == 0) write_all(victim.path + "/inner", "x");
        return;
      case Damage::link: {
        // To the good entry itself, to another one, or to nothing.
        const std::array targets{outside_ + "/own", other.path, outside_ + "/nothing"};
        write_all(outside_ + "/own", victim.good);
        fs::remove(victim.path);
        return fs::create_symlink(targets[below(targets.size())], victim.path);
      }
      case Damage::fifo:
        fs::remove(victim.path);
        if (::mkfifo(victim.path.c_str(), 0600) != 0) throw std::runtime_error("mkfifo failed");
        return;
    }
  }

 private:
  // Both entries change their names; the caller completes the exchange.
  std::string swapped(const Case& victim, const Case& other) {
    const std::string aside = outside_ + "/swap";
    fs::rename(other.path, aside);
    fs::rename(victim.path, other.path);
    return aside;
  }

  std::mt19937_64 random_;
  std::string outside_;
};

struct Tally {
  std::size_t accepted = 0;
  std::size_t not_set_aside = 0;
  std::size_t not_rebuilt = 0;
  std::size_t blocked = 0;
  std::map<MissCause, std::size_t> causes;
};

// A damaged entry is read, published and read again.
void check_round(DiskStore& store, const Case& victim, Tally& tally) {
  const auto start = std::chrono::steady_clock::now();
  const LookupResult bad = store.lookup(victim.key);
  if (bad.entry) ++tally.accepted;
  if (!bad.set_aside) ++tally.not_set_aside;
  ++tally.causes[bad.cause];
  const bool published = store.publish(victim.key, victim.payload).ok;
  const LookupResult good = store.lookup(victim.key);
  const bool right = good.entry && good.entry->payload == victim.payload &&
                     good.entry->record == victim.key.record &&
                     read_all(victim.path) == victim.good;
  if (!published || !right) ++tally.not_rebuilt;
  if (std::chrono::steady_clock::now() - start > kBlocked) ++tally.blocked;
}

}  // namespace

TEST_CASE("random damage is never accepted and always repaired", "[corruption]") {
  const TemporaryDirectory directory;
  UnsyncedFileSystem files;
  DiskStore store(directory / "root", files);
  fs::create_directory(directory / "outside");
  std::vector<Case> cases;
  for (std::size_t i = 0; i < kKeys; ++i) {
    const std::string name = "key " + std::to_string(i);
    Case one{make_key(name), make_payload(name, 500 + 2500 * i), {}, {}};
    one.path = store.path_of(one.key);
    REQUIRE(store.publish(one.key, one.payload).ok);
    one.good = read_all(one.path);
    cases.push_back(std::move(one));
  }
  const std::size_t count = rounds();
  std::cout << "corruption: seed " << kSeed << ", " << count << " rounds\n";
  Vandal vandal(kSeed, directory / "outside");
  Tally tally;
  for (std::size_t round = 0; round < count; ++round) {
    const std::size_t at = vandal.below(kKeys);
    const Case& victim = cases[at];
    const Case& other = cases[(at + 1 + vandal.below(kKeys - 1)) % kKeys];
    const Damage damage = kDamages[vandal.below(kDamages.size())];
    const std::size_t bad_before = tally.accepted + tally.not_set_aside + tally.not_rebuilt;
    vandal.damage(damage, victim, other);
    check_round(store, victim, tally);
    if (damage == Damage::swap) check_round(store, other, tally);
    CAPTURE(round, static_cast<int>(damage), victim.path);
    REQUIRE(tally.accepted + tally.not_set_aside + tally.not_rebuilt == bad_before);
  }
  CHECK(tally.accepted == 0);
  CHECK(tally.not_set_aside == 0);
  CHECK(tally.not_rebuilt == 0);
  CHECK(tally.blocked == 0);
  // Each kind of damage has been seen for what it is.
  for (const MissCause cause :
       {MissCause::format, MissCause::key, MissCause::corrupt, MissCause::unreadable}) {
    CAPTURE(cache::to_string(cause));
    CHECK(tally.causes[cause] > count / 50);
  }
  CHECK(count_files(directory / "root", ".tmp") == 0);
  const auto quarantined = fs::directory_iterator(store.quarantine_directory());
  CHECK(std::distance(quarantined, fs::directory_iterator()) ==
        static_cast<std::ptrdiff_t>(cache::kQuarantineLimit));
  const auto report = store.verify();
  CHECK(report.checked == kKeys);
  CHECK(report.valid == kKeys);
}

}  // namespace fourge::tests
