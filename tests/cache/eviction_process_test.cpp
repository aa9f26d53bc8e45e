// Eviction between processes: under load, by several at once, and killed at any moment.
#include <signal.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <random>
#include <system_error>
#include <thread>
#include <vector>

#include "cache/disk_store.hpp"
#include "cache/evictor.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using cache::CacheKey;
using cache::DiskStore;
using cache::EvictionPolicy;
using cache::Evictor;
using cache::EvictReport;
using cache::LookupResult;
using cache::MissCause;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t kPayload = 2000;
constexpr int kWriters = 8;
constexpr int kReaders = 8;
constexpr int kHot = 4;
constexpr int kRange = 400;

std::string name_of(int i) { return "spec" + std::to_string(1000 + i); }

EvictionPolicy policy_of(std::uint64_t byte_limit, const std::string& locks) {
  EvictionPolicy policy;
  policy.byte_limit = byte_limit;
  policy.keep_recent = 2;
  policy.lock_directory = locks;
  return policy;
}

// The sum of the entries that are there; a file may go while we look.
std::uint64_t entry_bytes(const std::string& root) {
  std::uint64_t sum = 0;
  std::error_code ignored;
  const auto visit = [&ignored](const std::string& path, const auto& take) {
    ignored.clear();
    fs::directory_iterator item(path, ignored);
    for (; !ignored && item != fs::directory_iterator(); item.increment(ignored)) {
      take(item->path());
    }
  };
  visit(root + "/v2", [&](const fs::path& shard) {
    visit(shard.string(), [&](const fs::path& inner) {
      visit(inner.string(), [&](const fs::path& file) {
        if (file.extension() != ".fourge" || shard.filename() == "quarantine") return;
        std::error_code gone;
        const auto size = fs::file_size(file, gone);
        if (!gone) sum += size;
      });
    });
  });
  return sum;
}

std::uint64_t file_bytes_of(int i) {
  return cache::encode_entry(make_key(name_of(i)), make_payload(name_of(i), kPayload)).size();
}

// Publishes entries from the range until the time is over.
int write_until(const std::string& root, const EvictionPolicy& policy, unsigned seed,
                Clock::time_point end) {
  DiskStore store(root);
  Evictor evictor(root, policy);
  std::minstd_rand random(seed);
  while (Clock::now() < end) {
    const int i = kHot + static_cast<int>(random() % (kRange - kHot));
    const CacheKey key = make_key(name_of(i));
    if (!store.publish(key, make_payload(name_of(i), kPayload)).ok) return 1;
    if (!evictor.published(key, file_bytes_of(i)).detail.empty()) return 2;
  }
  return 0;
}

// Looks entries up; those that are hot are hits always, of the others what is there is right.
int read_until(const std::string& root, const EvictionPolicy& policy, unsigned seed,
               Clock::time_point end) {
  DiskStore store(root);
  Evictor evictor(root, policy);
  std::minstd_rand random(seed);
  while (Clock::now() < end) {
    const bool hot = random() % 2 == 0;
    const int i = static_cast<int>(random() % (hot ? kHot : kRange));
    const LookupResult result = store.lookup(make_key(name_of(i)));
    if (result.entry) {
      if (result.entry->payload != make_payload(name_of(i), kPayload)) return 3;
      if (hot) evictor.used(make_key(name_of(i)));
    } else if (i < kHot) {
      return 4;  // in use, and gone
    } else if (result.cause != MissCause::absent) {
      return 5;
    }
  }
  return 0;
}

// Stops processes while it lives, so that what is seen is what there was at one moment.
class Pause {
 public:
  explicit Pause(const std::vector<pid_t>& processes) : processes_(processes) {
    for (const pid_t process : processes_) ::kill(process, SIGSTOP);
    for (const pid_t process : processes_) {
      int status = 0;
      while (::waitpid(process, &status, WUNTRACED) < 0 && errno == EINTR) {
      }
      all_ = all_ && WIFSTOPPED(status);
    }
  }
  ~Pause() {
    for (const pid_t process : processes_) ::kill(process, SIGCONT);
  }
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;

  bool all() const { return all_; }

 private:
  const std::vector<pid_t>& processes_;
  bool all_ = true;
};

// The label long.
bool is_long() { return std::getenv("FOURGE_LONG") != nullptr; }

int rounds_of_kills() { return is_long() ? 200 : 20; }

}  // namespace

TEST_CASE("eviction under load: the limit holds, no reader fails, what is in use stays") {
  const TemporaryDirectory directory;
  const TemporaryDirectory locks;
  const std::string root = directory / "root";
  const std::uint64_t each = file_bytes_of(0);
  const std::uint64_t limit = 80 * each;
  const EvictionPolicy policy = policy_of(limit, locks.path());
  {
    DiskStore store(root);
    Evictor evictor(root, policy);
    for (int i = 0; i < kHot; ++i) {
      REQUIRE(store.publish(make_key(name_of(i)), make_payload(name_of(i), kPayload)).ok);
      evictor.used(make_key(name_of(i)));
    }
  }
  StartGate gate;
  const auto end = Clock::now() + std::chrono::seconds(is_long() ? 40 : 4);
  std::deque<ChildProcess> children;
  for (unsigned p = 0; p < kWriters + kReaders; ++p) {
    children.emplace_back([&, p] {
      gate.wait();
      return p < kWriters ? write_until(root, policy, p + 1, end)
                          : read_until(root, policy, p + 1, end);
    });
  }
  gate.open();
  std::uint64_t most = 0;
  int looks = 0;
  std::vector<pid_t> processes;
  for (const ChildProcess& child : children) processes.push_back(child.id());
  while (Clock::now() < end - std::chrono::seconds(1)) {
    {
      const Pause pause(processes);
      REQUIRE(pause.all());
      most = std::max(most, entry_bytes(root));
    }
    ++looks;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  for (ChildProcess& child : children) CHECK(child.wait() == 0);
  CAPTURE(most / each, looks);
  CHECK(looks > 10);
  CHECK(most <= limit + kWriters * each);
  CHECK(most >= limit * 3 / 4);  // the limit was reached, and not cut far below
  CHECK(entry_bytes(root) <= limit + kWriters * each);
  for (int i = 0; i < kHot; ++i) CHECK(DiskStore(root).lookup(make_key(name_of(i))).entry);
  CHECK(DiskStore(root).verify().bad.empty());
  CHECK(count_files(root, ".tmp") == 0);
  CHECK(count_files(locks.path(), "") == 0);
}

TEST_CASE("processes that trim at once remove what one would, and keep the floor") {
  for (const bool with_locks : {true, false}) {
    const TemporaryDirectory directory;
    const TemporaryDirectory locks;
    const std::string root = directory / "root";
    DiskStore store(root);
    for (int i = 0; i < 60; ++i) {
      REQUIRE(store.publish(make_key(name_of(i)), make_payload(name_of(i), kPayload)).ok);
    }
    const EvictionPolicy policy =
        policy_of(20 * file_bytes_of(0), with_locks ? locks.path() : std::string());
    StartGate gate;
    std::deque<ChildProcess> children;
    for (int p = 0; p < 6; ++p) {
      children.emplace_back([&] {
        gate.wait();
        const EvictReport report = Evictor(root, policy).trim();
        return report.detail.empty() && (with_locks || !report.busy) ? 0 : 1;
      });
    }
    gate.open();
    for (ChildProcess& child : children) CHECK(child.wait() == 0);
    CHECK(count_files(root, ".fourge") == 20);
    CHECK(DiskStore(root).verify().bad.empty());

    EvictionPolicy floor = policy;
    floor.byte_limit = 1;
    floor.keep_recent = 5;
    CHECK(Evictor(root, floor).trim().removed == 15);
    CHECK(count_files(root, ".fourge") == 5);
  }
}

TEST_CASE("writers and evictors that are killed at any moment leave a store that is whole") {
  const TemporaryDirectory directory;
  const TemporaryDirectory locks;
  const std::string root = directory / "root";
  const std::uint64_t each = file_bytes_of(0);
  const EvictionPolicy policy = policy_of(12 * each, locks.path());
  std::minstd_rand random(20240607);
  for (int round = 0; round < rounds_of_kills(); ++round) {
    std::deque<ChildProcess> children;
    for (unsigned p = 0; p < 4; ++p) {
      const auto seed = static_cast<unsigned>(random());
      children.emplace_back([&, seed, p] {
        const auto end = Clock::now() + std::chrono::seconds(20);
        return p < 3 ? write_until(root, policy, seed, end) : [&] {
          for (;;) static_cast<void>(Evictor(root, policy).trim());
          return 0;
        }();
      });
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 60'000));
    for (ChildProcess& child : children) {
      child.kill();
      CHECK(child.wait() == 128 + SIGKILL);
    }
    DiskStore store(root);
    for (int i = 0; i < kRange; i += 7) {
      const LookupResult result = store.lookup(make_key(name_of(i)));
      if (result.entry) {
        REQUIRE(result.entry->payload == make_payload(name_of(i), kPayload));
      } else {
        REQUIRE(result.cause == MissCause::absent);
      }
    }
    // Nobody has to wait for the dead: the next publish brings the store below its limit.
    REQUIRE(store.publish(make_key(name_of(0)), make_payload(name_of(0), kPayload)).ok);
    const EvictReport report = Evictor(root, policy).published(make_key(name_of(0)), each);
    CHECK(report.detail.empty());
    CHECK_FALSE(report.busy);
    CHECK(entry_bytes(root) <= 16 * each);
    REQUIRE(Evictor(root, policy).trim().detail.empty());
    CHECK(entry_bytes(root) <= 12 * each);
  }
  CHECK(DiskStore(root).verify().bad.empty());
}

}  // namespace fourge::tests
