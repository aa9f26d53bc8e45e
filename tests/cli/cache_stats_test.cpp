#include <chrono>
#include <filesystem>
#include <string>

#include "cache/disk_counters.hpp"
#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"

using namespace fourge::tests;

TEST_CASE("cli: cache stats counts what all processes did, until --zero") {
  Sandbox sandbox;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(sandbox.run({"build", kSpec}).exit_code == 0);
  }
  const auto counters = sandbox.run({"cache", "stats", "--json"}).json().at("counters");
  CHECK(counters.at("compiles") == 1);
  CHECK(counters.at("local_hits") == 2);
  CHECK(counters.at("miss_absent") == 1);
  CHECK(counters.size() == fourge::cache::kCounterCount);
  CHECK(counters.at("miss_disabled") == 0);
  CHECK(counters.at("bytes_written") > 0);
  CHECK(counters.at("compile_nanoseconds") > 0);
  CHECK(counters.at("lookup_nanoseconds") > 0);
  CHECK(sandbox.run({"cache", "stats"}).out.find("local_hits") != std::string::npos);

  CHECK(sandbox.run({"cache", "stats", "--zero", "--json"}).json().at("counters").at("compiles") ==
        0);
  const auto after = sandbox.run({"cache", "stats", "--json"}).json();
  CHECK(after.at("counters").at("local_hits") == 0);
  CHECK(after.at("entries") == 1);
}

TEST_CASE("cli: damaged counters are mentioned and do no harm") {
  Sandbox sandbox;
  REQUIRE(sandbox.run({"build", kSpec}).exit_code == 0);
  write_text(sandbox.cache() + "/usage/counters", "nonsense");
  const CommandResult damaged = sandbox.run({"cache", "stats", "--json"});
  CHECK(damaged.exit_code == 0);
  CHECK(!damaged.json().at("counters_note").get<std::string>().empty());
  CHECK(sandbox.run({"build", kSpec, "--json"}).json().at("origin") == "disk");
}

TEST_CASE("cli: cache trim brings the cache below a limit, and keeps the last kernels") {
  Sandbox sandbox;
  REQUIRE(sandbox.run({"build", kSpec}).exit_code == 0);
  const auto kept = sandbox.run({"cache", "trim", "--limit", "1K", "--json"}).json();
  CHECK(kept.at("byte_limit") == 1024);
  CHECK(kept.at("removed") == 0);  // one of the last sixteen
  CHECK(kept.at("bytes") > 1024);
  CHECK(sandbox.run({"cache", "trim", "--limit", "lots"}).exit_code == 2);

  // Twenty more that look like kernels and are older.
  const std::filesystem::path entry = entry_files(sandbox.cache()).at(0);
  const std::string bytes = read_text(entry);
  for (int i = 0; i < 20; ++i) {
    std::string name = entry.filename().string();
    name[20] = "0123456789abcdef"[i % 16];
    name[21] = "0123456789abcdef"[i / 16];
    name[22] = name[22] == '0' ? '1' : '0';
    const std::filesystem::path copy = entry.parent_path() / name;
    write_text(copy, bytes);
    std::filesystem::permissions(
        copy, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    std::filesystem::last_write_time(
        copy, std::filesystem::file_time_type::clock::now() - std::chrono::hours(48 + i));
  }
  const auto trimmed = sandbox.run({"cache", "trim", "--limit", "1K", "--json"}).json();
  CHECK(trimmed.at("removed") == 5);
  CHECK(entry_files(sandbox.cache()).size() == 16);
  CHECK(std::filesystem::exists(entry));
  CHECK(sandbox.run({"cache", "stats", "--json"}).json().at("counters").at("evictions") == 5);

  sandbox.set_variable("FOURGE_CACHE_LIMIT", "lots");
  const CommandResult bad = sandbox.run({"cache", "trim"});
  CHECK(bad.exit_code == 2);
  CHECK(bad.says("FOURGE_CACHE_LIMIT"));
}
