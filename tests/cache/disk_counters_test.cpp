#include "cache/disk_counters.hpp"

#include <cerrno>
#include <filesystem>
#include <set>
#include <thread>

#include "tests/cache/cache_support.hpp"
#include "tests/cache/faulty_file_system.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using cache::CounterId;
using cache::CounterTotals;
using cache::CounterValues;
using cache::DiskCounters;

namespace {

CounterValues hits(std::uint64_t count) {
  CounterValues values;
  values[CounterId::local_hits] = count;
  return values;
}

// A process that did this and ended.
void run_process(const std::string& root, const CounterValues& values) {
  DiskCounters counters(root);
  counters.record(values);
}

std::uint64_t total_hits(const std::string& root) {
  return DiskCounters(root).totals().values[CounterId::local_hits];
}

// As if all logs that were put aside had lain there for an hour.
void age_folds(const std::string& root) {
  for (const auto& item : fs::directory_iterator(root + "/usage")) {
    if (item.path().extension() == ".fold") {
      fs::last_write_time(item, fs::file_time_type::clock::now() - std::chrono::hours(1));
    }
  }
}

}  // namespace

TEST_CASE("counters of all processes add up") {
  const TemporaryDirectory directory;
  CHECK(DiskCounters(directory.path()).totals().values.empty());
  CHECK_FALSE(exists(directory / "usage"));  // nothing to note, nothing created
  CounterValues all;
  for (std::size_t i = 0; i < cache::kCounterCount; ++i) all.values[i] = i + 1;
  for (int i = 0; i < 3; ++i) run_process(directory.path(), all);
  const CounterTotals totals = DiskCounters(directory.path()).totals();
  CHECK(totals.note.empty());
  for (std::size_t i = 0; i < cache::kCounterCount; ++i) {
    CHECK(totals.values.values[i] == 3 * (i + 1));
  }
}

TEST_CASE("every counter has a name of its own") {
  std::set<std::string> names;
  for (std::size_t i = 0; i < cache::kCounterCount; ++i) {
    names.insert(cache::to_string(static_cast<CounterId>(i)));
  }
  CHECK(names.size() == cache::kCounterCount);
  CHECK(names.count("unknown") == 0);
}

TEST_CASE("only differences are written, and seldom") {
  const TemporaryDirectory directory;
  {
    DiskCounters counters(directory.path());
    for (std::uint64_t i = 0; i < 1000; ++i) counters.record(hits(i));
    CHECK_FALSE(exists(directory / "usage"));  // the interval has not passed
    counters.flush();
    CHECK(total_hits(directory.path()) == 999);
    const auto size = fs::file_size(directory / "usage/counters");
    counters.flush();
    CHECK(fs::file_size(directory / "usage/counters") == size);
    counters.record(hits(998));  // read before, recorded after
    counters.record(hits(1005));
  }
  CHECK(total_hits(directory.path()) == 1005);
}

TEST_CASE("a long log is put aside and added up, and no sum changes") {
  const TemporaryDirectory directory;
  std::uint64_t expected = 0;
  for (int round = 0; round < 4; ++round) {
    DiskCounters counters(directory.path());
    const std::uint64_t start = expected;
    for (int i = 0; i < 1000; ++i) {
      ++expected;
      counters.record(hits(expected - start));
      counters.flush();
      if (i % 100 == 0) REQUIRE(total_hits(directory.path()) == expected);
    }
    age_folds(directory.path());
  }
  REQUIRE(total_hits(directory.path()) == expected);
  CHECK(expected == 4000);
  std::uintmax_t bytes = 0;
  for (const auto& item : fs::directory_iterator(directory / "usage")) bytes += item.file_size();
  CHECK(bytes < 3 * DiskCounters::kLogBytes);
  CHECK(count_files(directory.path(), "") <= 3);
}

TEST_CASE("a crash or a race while a log is added up changes no sum") {
  const TemporaryDirectory directory;
  // Fails to remove the file that has been added up: as a crash just before, or another process
  // that does the same.
  FaultyFileSystem files([](Operation operation, const std::string& path) {
    return operation == Operation::remove && path.ends_with(".fold") ? EIO : 0;
  });
  std::uint64_t expected = 0;
  for (int round = 0; round < 4; ++round) {
    {
      DiskCounters counters(directory.path(), files);
      for (std::uint64_t i = 1; i <= 1000; ++i) {
        counters.record(hits(i));
        counters.flush();
      }
    }
    expected += 1000;
    REQUIRE(total_hits(directory.path()) == expected);
    age_folds(directory.path());
    run_process(directory.path(), hits(5));
    expected += 5;
    REQUIRE(total_hits(directory.path()) == expected);
  }
  CHECK(count_files(directory.path(), ".fold") >= 2);
  for (int round = 0; round < 3; ++round) {  // and now it works again
    DiskCounters counters(directory.path());
    for (std::uint64_t i = 1; i <= 1000; ++i) {
      counters.record(hits(i));
      counters.flush();
      ++expected;
    }
    age_folds(directory.path());
    REQUIRE(total_hits(directory.path()) == expected);
  }
  CHECK(count_files(directory.path(), ".fold") <= 2);
}

TEST_CASE("threads that write at once lose nothing") {
  const TemporaryDirectory directory;
  run_process(directory.path(), hits(1));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      DiskCounters counters(directory.path());
      for (std::uint64_t i = 1; i <= 500; ++i) {
        counters.record(hits(i));
        counters.flush();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(total_hits(directory.path()) == 2001);
}

TEST_CASE("damage is passed over and mentioned") {
  const TemporaryDirectory directory;
  const std::string path = directory / "usage/counters";
  run_process(directory.path(), hits(7));
  const std::string whole = read_all(path);
  SECTION("a torn write in the middle") {
    write_all(path, whole + whole.substr(0, 31));
    run_process(directory.path(), hits(5));
    CHECK(total_hits(directory.path()) == 12);
    CHECK_FALSE(DiskCounters(directory.path()).totals().note.empty());
  }
  SECTION("nonsense") {
    write_all(path, std::string(5000, 'x'));
    CHECK(total_hits(directory.path()) == 0);
    CHECK_FALSE(DiskCounters(directory.path()).totals().note.empty());
    run_process(directory.path(), hits(5));
    CHECK(total_hits(directory.path()) == 5);
  }
  SECTION("a directory in its place") {
    fs::remove(path);
    fs::create_directory(path);
    run_process(directory.path(), hits(5));  // lost, but it makes room
    run_process(directory.path(), hits(5));
    CHECK(total_hits(directory.path()) == 5);
  }
  SECTION("far too long") {
    fs::resize_file(path, cache::kMaximumLogBytes + 1);
    CHECK_FALSE(DiskCounters(directory.path()).totals().note.empty());
    run_process(directory.path(), hits(5));
    CHECK(total_hits(directory.path()) == 5);
  }
}

TEST_CASE("counters can be set to zero") {
  const TemporaryDirectory directory;
  std::string reason;
  CHECK(DiskCounters(directory.path()).reset(reason));
  run_process(directory.path(), hits(7));
  CHECK(DiskCounters(directory.path()).reset(reason));
  CHECK(total_hits(directory.path()) == 0);
  CHECK(reason.empty());
  run_process(directory.path(), hits(7));
  FaultyFileSystem files([](Operation operation, const std::string&) {
    return operation == Operation::remove ? EROFS : 0;
  });
  CHECK_FALSE(DiskCounters(directory.path(), files).reset(reason));
  CHECK(reason.find("counters") != std::string::npos);
}

TEST_CASE("counters without a directory, or that cannot be written, are no one's trouble") {
  const TemporaryDirectory directory;
  run_process("", hits(7));
  run_process(directory / "none", hits(7));
  CHECK_FALSE(exists(directory / "none"));
  CHECK(DiskCounters("").totals().values.empty());
  CHECK(DiskCounters(directory / "none").totals().values.empty());
}

}  // namespace fourge::tests
