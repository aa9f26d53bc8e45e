#include "cache/failure_store.hpp"

#include <chrono>
#include <deque>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>
#include <utility>

#include "cache/disk_store.hpp"
#include "cache/single_flight.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using cache::CacheKey;
using cache::Failure;
using cache::FailureStore;
using Time = std::chrono::system_clock::time_point;

namespace {

Failure failure_at(Time time, std::string log = "error: no\n") {
  return {time, "COMPILER 1.2", "ERROR_COMPILATION", std::move(log), "/somewhere/source.cu"};
}

Time now() { return std::chrono::system_clock::now(); }

}  // namespace

TEST_CASE("a failure is remembered with all that it says, privately") {
  const TemporaryDirectory directory;
  FailureStore store(directory / "root");
  const CacheKey key = make_key("one");
  CHECK_FALSE(store.lookup(key, now() - 1h));
  CHECK_FALSE(exists(directory / "root"));
  REQUIRE(store.remember(key, failure_at(now(), "a \xff byte")));
  const auto found = store.lookup(key, now() - 1h);
  REQUIRE(found);
  CHECK(found->compiler == "COMPILER 1.2");
  CHECK(found->status == "ERROR_COMPILATION");
  CHECK(found->log == "a \xEF\xBF\xBD byte");
  CHECK(found->source_path == "/somewhere/source.cu");
  CHECK(mode_of(store.path_of(key)) == 0600);
  CHECK(count_files(directory / "root", ".tmp") == 0);
  CHECK_FALSE(store.lookup(make_key("two"), now() - 1h));
  REQUIRE(store.list().size() == 1);
  CHECK(store.list().front().record == key.record);
  store.forget(key);
  CHECK_FALSE(store.lookup(key, now() - 1h));
}

TEST_CASE("an old failure, and one of the future, are removed and not believed") {
  const TemporaryDirectory directory;
  FailureStore store(directory / "root");
  const CacheKey key = make_key("one");
  REQUIRE(store.remember(key, failure_at(now() - 10min)));
  CHECK(store.lookup(key, now() - 11min));
  CHECK_FALSE(store.lookup(key, now() - 9min));
  CHECK_FALSE(exists(store.path_of(key)));
  REQUIRE(store.remember(key, failure_at(now() + 10min)));
  CHECK_FALSE(store.lookup(key, now() - 1h));
  CHECK_FALSE(exists(store.path_of(key)));
}

TEST_CASE("a failure is no kernel, and a kernel or another's failure is no failure") {
  const TemporaryDirectory directory;
  const std::string root = directory / "root";
  FailureStore failures(root);
  cache::DiskStore store(root);
  const CacheKey key = make_key("one");
  REQUIRE(failures.remember(key, failure_at(now())));
  REQUIRE(store.publish(key, make_payload("one")).ok);
  const std::string failure = read_all(failures.path_of(key));
  const std::string entry = read_all(store.path_of(key));
  write_all(store.path_of(key), failure);
  CHECK(store.lookup(key).cause == cache::MissCause::key);
  write_all(failures.path_of(key), entry);
  CHECK_FALSE(failures.lookup(key, now() - 1h));
  write_all(failures.path_of(make_key("two")), failure);
  CHECK_FALSE(failures.lookup(make_key("two"), now() - 1h));
}

TEST_CASE("failures are bounded: the newest stay, a long log loses its middle") {
  const TemporaryDirectory directory;
  cache::FailureLimits limits;
  limits.files = 3;
  limits.log_bytes = 1000;
  FailureStore store(directory / "root", cache::posix_file_system(), {}, limits);
  for (int i = 0; i < 6; ++i) {
    const CacheKey key = make_key(std::to_string(i));
    REQUIRE(store.remember(key, failure_at(now())));
    // The order of files is that of their times.
    fs::last_write_time(store.path_of(key),
                        fs::file_time_type::clock::now() - std::chrono::hours(10 - i));
  }
  REQUIRE(store.remember(make_key("last"),
                         failure_at(now(), "begin" + std::string(5000, '.') + "end")));
  CHECK(store.list().size() == 3);
  const auto last = store.lookup(make_key("last"), now() - 1h);
  REQUIRE(last);
  CHECK(last->log.size() < 1100);
  CHECK(last->log.starts_with("begin"));
  CHECK(last->log.ends_with("end"));
  CHECK(store.lookup(make_key("5"), now() - 1h));
  CHECK_FALSE(store.lookup(make_key("0"), now() - 1h));
  CHECK(store.clear() == 3);
  CHECK(store.list().empty());
}

TEST_CASE("a root that others may write is not believed about failures") {
  const TemporaryDirectory directory;
  const std::string root = directory / "root";
  FailureStore store(root);
  REQUIRE(store.remember(make_key("one"), failure_at(now())));
  fs::permissions(root, fs::perms(0777));
  CHECK_FALSE(store.lookup(make_key("one"), now() - 1h));
  CHECK_FALSE(store.remember(make_key("two"), failure_at(now())));
  fs::permissions(root, fs::perms(0700));
  CHECK(store.lookup(make_key("one"), now() - 1h));
  FailureStore off("");
  CHECK_FALSE(off.remember(make_key("one"), failure_at(now())));
  CHECK_FALSE(off.lookup(make_key("one"), now() - 1h));
  CHECK(off.list().empty());
}

TEST_CASE("a hundred processes see one failed compile") {
  const TemporaryDirectory directory;
  const std::string root = directory / "root";
  const CacheKey key = make_key("one");
  constexpr int kProcesses = 100;
  StartGate gate;
  std::deque<ChildProcess> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.emplace_back([&] {
      gate.wait();
      FailureStore store(root);
      cache::FlightOptions options;
      options.lock_directory = directory / "locks";
      options.scope = root;
      const Time since = now() - 1h;
      std::optional<Failure> failure;
      const auto take = [&] {
        failure = store.lookup(key, since);
        return failure.has_value();
      };
      if (!take()) {
        cache::make_once(key, options,
                         {[&] { return exists(store.path_of(key)); }, take,
                          [&] {
                            std::ofstream(directory / "compiles", std::ios::app)
                                << 'x' << std::flush;
                            std::this_thread::sleep_for(50ms);
                            failure = failure_at(now());
                            store.remember(key, *failure);
                            return false;
                          }});
      }
      return failure && failure->log == "error: no\n" ? 0 : 1;
    });
  }
  gate.open();
  int bad = 0;
  for (ChildProcess& child : children) bad += child.wait() == 0 ? 0 : 1;
  CHECK(bad == 0);
  CHECK(read_all(directory / "compiles") == "x");
  CHECK(fs::is_empty(directory / "locks"));
}

}  // namespace fourge::tests
