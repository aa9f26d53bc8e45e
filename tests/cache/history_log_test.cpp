// The history of a cache: many writers, damage, bounds.
#include "cache/history_log.hpp"

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

namespace fs = std::filesystem;
using cache::HistoryLog;

std::set<std::string> texts_of(const cache::HistoryContents& contents) {
  std::set<std::string> texts;
  for (const auto& text : contents.texts) {
    texts.insert(text.text);
  }
  return texts;
}

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

TEST_CASE("texts are kept once, the newest first", "[history]") {
  const Scratch scratch;
  HistoryLog log(scratch.cache());
  CHECK(log.read().texts.empty());
  CHECK_FALSE(fs::exists(scratch.cache()));
  CHECK(log.append("b"));
  CHECK(log.append("a"));
  CHECK(log.append("b"));
  CHECK_FALSE(log.append(""));
  CHECK_FALSE(log.append("two\nlines"));
  CHECK_FALSE(log.append(std::string(256, 'x')));
  CHECK(texts_of(log.read()) == std::set<std::string>{"a", "b"});
  CHECK(log.read().texts.size() == 2);
  const auto time = [](int seconds) {
    return std::chrono::system_clock::time_point(std::chrono::seconds(seconds));
  };
  const auto parsed =
      HistoryLog::parse(HistoryLog::line_of("old", time(5)) + HistoryLog::line_of("new", time(7)) +
                        HistoryLog::line_of("old", time(9)));
  REQUIRE(parsed.texts.size() == 2);
  CHECK(parsed.texts[0].text == "old");
  CHECK(parsed.texts[0].last == time(9));
}

TEST_CASE("damaged lines are passed over, one by one", "[history]") {
  const auto now = std::chrono::system_clock::now();
  const std::string first = HistoryLog::line_of("first", now);
  const std::string second = HistoryLog::line_of("second", now);
  const std::string third = HistoryLog::line_of("third", now);
  for (std::size_t at = 0; at < second.size(); ++at) {
    for (const char c : {'\0', '\n', 'x', '0'}) {
      std::string bad = second;
      bad[at] = c;
      const auto texts = texts_of(HistoryLog::parse(first + bad + third));
      CHECK(texts.count("first") == 1);
      CHECK((texts.count("third") == 1 || at + 1 == second.size()));
      CHECK(texts.count("second") == (bad == second ? 1U : 0U));
    }
    const auto cut = HistoryLog::parse(first + second.substr(0, at));
    CHECK(texts_of(cut) == std::set<std::string>{"first"});
  }
}

TEST_CASE("sixteen threads write one history", "[history]") {
  const Scratch scratch;
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&scratch, i] {
      HistoryLog log(scratch.cache());
      for (int n = 0; n < 20; ++n) {
        log.append(std::to_string(i) + ":" + std::to_string(n));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  const auto contents = HistoryLog(scratch.cache()).read();
  CHECK(contents.texts.size() == 320);
  CHECK(contents.damaged_lines == 0);
}

TEST_CASE("a history is bounded, and cleaning up loses nothing that is new", "[history]") {
  const Scratch scratch;
  HistoryLog log(scratch.cache());
  const std::string usage = scratch.cache() + "/usage";
  const std::string filler(200, '.');
  for (int i = 0; i < 400; ++i) {
    REQUIRE(log.append(filler + std::to_string(i)));
  }
  // As if it had been asked for often, long ago.
  const std::string lines = read_all(usage + "/history");
  {
    std::ofstream file(usage + "/history", std::ios::binary | std::ios::app);
    while (static_cast<std::size_t>(file.tellp()) < cache::kHistoryBytes) {
      file << lines;
    }
  }
  REQUIRE(log.append("the last"));
  CHECK_FALSE(fs::exists(usage + "/history"));  // it waits
  CHECK(log.read().texts.size() == 401);
  for (const auto& entry : fs::directory_iterator(usage)) {
    fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - std::chrono::minutes(5));
  }
  // The next time that it is long, what waits is gone through.
  {
    std::ofstream file(usage + "/history", std::ios::binary | std::ios::app);
    while (static_cast<std::size_t>(file.tellp()) < cache::kHistoryBytes) {
      file << lines;
    }
  }
  fs::permissions(usage + "/history", fs::perms::owner_read | fs::perms::owner_write);
  REQUIRE(log.append("one more"));
  const auto texts = texts_of(log.read());
  CHECK(texts.size() == 402);
  CHECK(texts.count("the last") == 1);
  CHECK(texts.count("one more") == 1);
  CHECK(fs::file_size(usage + "/history") < cache::kHistoryBytes);
}

TEST_CASE("what cannot be written or read is no failure", "[history]") {
  const Scratch scratch;
  fs::create_directories(scratch.cache());
  fs::permissions(scratch.cache(), fs::perms::owner_all);
  fs::create_directories(scratch.cache() + "/usage/history");
  fs::permissions(scratch.cache() + "/usage", fs::perms::owner_all);
  HistoryLog log(scratch.cache());
  CHECK_FALSE(log.append("a"));
  CHECK_FALSE(log.read().note.empty());
  CHECK_FALSE(HistoryLog("/proc/nowhere").append("a"));
}

}  // namespace fourge::tests
