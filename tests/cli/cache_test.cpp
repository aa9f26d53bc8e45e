#include <filesystem>

#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"

using namespace fourge::tests;

namespace {

constexpr const char* kSpec =
    "nvfp4_quantize[in=f16,layout=8x4,scale=tensor,math=exact,tpc=2,4over6=off]@sm_90a";

void flip_byte_in_the_middle(const std::filesystem::path& path) {
  std::string bytes = read_text(path);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x10);
  write_text(path, bytes);
}

}  // namespace

TEST_CASE("cli: an empty cache has no entries and is not created") {
  Sandbox sandbox;
  for (const char* command : {"list", "stats", "verify"}) {
    CHECK(sandbox.run({"cache", command}).exit_code == 0);
  }
  CHECK(sandbox.run({"cache", "list", "--json"}).json().at("entries").empty());
  CHECK(!std::filesystem::exists(sandbox.cache()));
}

TEST_CASE("cli: cache list and stats show entries by spec") {
  Sandbox sandbox;
  const auto built = sandbox.run({"build", kSpec, "--json"}).json();
  const auto entries = sandbox.run({"cache", "list", "--json"}).json().at("entries");
  REQUIRE(entries.size() == 1);
  CHECK(entries.at(0).at("spec") == kSpec);
  CHECK(entries.at(0).at("key") == built.at("key"));
  CHECK(entries.at(0).at("cubin_bytes") == built.at("cubin_bytes"));
  CHECK(entries.at(0).at("valid") == true);
  CHECK(entries.at(0).at("age_seconds") >= 0);
  CHECK(sandbox.run({"cache", "list"}).out.find(kSpec) != std::string::npos);

  const auto stats = sandbox.run({"cache", "stats", "--json"}).json();
  CHECK(stats.at("directory") == sandbox.cache());
  CHECK(stats.at("entries") == 1);
  CHECK(stats.at("bad") == 0);
  CHECK(stats.at("by_target").at("sm_90a") == 1);
  CHECK(stats.at("bytes") > built.at("cubin_bytes"));
  CHECK(sandbox.run({"cache", "stats"}).out.find("1 for sm_90a") != std::string::npos);
}

TEST_CASE("cli: cache verify finds a flipped byte, sets it aside and exits with 1") {
  Sandbox sandbox;
  REQUIRE(sandbox.run({"build", kSpec}).exit_code == 0);
  CHECK(sandbox.run({"cache", "verify"}).exit_code == 0);
  flip_byte_in_the_middle(entry_files(sandbox.cache()).at(0));

  const auto listed = sandbox.run({"cache", "list", "--json"}).json().at("entries");
  REQUIRE(listed.size() == 1);
  CHECK(listed.at(0).at("valid") == false);
  CHECK(!listed.at(0).at("cause").get<std::string>().empty());

  const CommandResult bad = sandbox.run({"cache", "verify", "--json"});
  CHECK(bad.exit_code == 1);
  CHECK(bad.json().at("checked") == 1);
  CHECK(bad.json().at("set_aside") == 1);
  REQUIRE(bad.json().at("bad").size() == 1);
  CHECK(entry_files(sandbox.cache()).empty());
  CHECK(sandbox.run({"cache", "verify"}).exit_code == 0);
}

TEST_CASE("cli: a flipped byte costs a rebuild and nothing else") {
  Sandbox sandbox;
  const auto good = sandbox.run({"build", kSpec, "--json"}).json();
  flip_byte_in_the_middle(entry_files(sandbox.cache()).at(0));
  const CommandResult healed = sandbox.run({"build", kSpec, "--json"});
  REQUIRE(healed.exit_code == 0);
  CHECK(healed.json().at("origin") == "compiled");
  CHECK(healed.json().at("heals") == 1);
  CHECK(healed.json().at("cubin_sha256") == good.at("cubin_sha256"));
  CHECK(healed.says("set aside"));
  CHECK(sandbox.run({"build", kSpec, "--json"}).json().at("origin") == "disk");
}

TEST_CASE("cli: cache clear needs --yes and leaves other files alone") {
  Sandbox sandbox;
  REQUIRE(sandbox.run({"build", kSpec}).exit_code == 0);
  write_text(sandbox.cache() + "/notes.txt", "mine");
  CHECK(sandbox.run({"cache", "clear"}).exit_code == 2);
  CHECK(entry_files(sandbox.cache()).size() == 1);
  const CommandResult cleared = sandbox.run({"cache", "clear", "--yes", "--json"});
  CHECK(cleared.exit_code == 0);
  CHECK(cleared.json().at("entries") == 1);
  CHECK(entry_files(sandbox.cache()).empty());
  CHECK(read_text(sandbox.cache() + "/notes.txt") == "mine");
  CHECK(sandbox.run({"build", kSpec, "--json"}).json().at("origin") == "compiled");
}

TEST_CASE("cli: --cache-dir wins over the environment, which wins over the home directory") {
  Sandbox sandbox;
  const std::string other = sandbox.path("other");
  REQUIRE(sandbox.run({"build", kSpec, "--cache-dir", other}).exit_code == 0);
  CHECK(entry_files(other).size() == 1);
  CHECK(!std::filesystem::exists(sandbox.cache()));
  sandbox.set_variable("FOURGE_CACHE_DIR", "");
  CHECK(sandbox.run({"cache", "stats", "--json"}).json().at("directory") ==
        sandbox.path("home/.cache/fourge"));
  sandbox.set_variable("XDG_CACHE_HOME", sandbox.path("xdg"));
  CHECK(sandbox.run({"cache", "stats", "--json"}).json().at("directory") ==
        sandbox.path("xdg/fourge"));
}
