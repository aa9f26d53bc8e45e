#include <unistd.h>

#include <array>
#include <filesystem>
#include <map>
#include <string_view>

#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"

using namespace fourge::tests;

namespace {

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

TEST_CASE("cli: an entry holds no value of the environment, no path and no name of a user") {
  Sandbox sandbox;
  const std::map<std::string, std::string> secrets{{"FOURGE_TEST_SECRET", "token-5d41402abc4b2a76"},
                                                   {"AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMIK7"},
                                                   {"USER", "somebody-by-name"},
                                                   {"LOGNAME", "somebody-by-name"},
                                                   {"HOSTNAME", "a-host-by-name"},
                                                   {"LD_PRELOAD_OF_MINE", "/opt/libmine.so"}};
  for (const auto& [name, value] : secrets) sandbox.set_variable(name, value);
  REQUIRE(sandbox.run({"build", kSpec}).exit_code == 0);
  const std::string bytes = read_text(entry_files(sandbox.cache()).at(0));
  REQUIRE(bytes.find("nvfp4_quantize") != std::string::npos);
  for (const auto& [name, value] : secrets) {
    CHECK(bytes.find(name) == std::string::npos);
    CHECK(bytes.find(value) == std::string::npos);
  }
  CHECK(bytes.find(sandbox.path("")) == std::string::npos);
  CHECK(bytes.find(std::filesystem::current_path().string()) == std::string::npos);
  std::array<char, 256> host{};
  REQUIRE(::gethostname(host.data(), host.size() - 1) == 0);
  if (std::string_view(host.data()).size() > 3) CHECK(bytes.find(host.data()) == std::string::npos);
}

TEST_CASE("cli: cache clear says all that it removed") {
  Sandbox sandbox;
  REQUIRE(sandbox.run({"build", kSpec}).exit_code == 0);
  REQUIRE(sandbox.run({"build", kSpec}).exit_code == 0);  // a hit, which is stamped
  const std::string quarantined = entry_files(sandbox.cache()).at(0).filename();
  std::filesystem::create_directories(sandbox.cache() + "/v2/quarantine");
  write_text(sandbox.cache() + "/v2/quarantine/00000000000000000001.1.1.corrupt." + quarantined,
             "bad");
  std::filesystem::create_directories(sandbox.cache() + "/failed-v1");
  write_text(sandbox.cache() + "/failed-v1/0123456789abcdef-0.failed", "refused");
  std::filesystem::create_directories(sandbox.cache() + "/failed");
  write_text(sandbox.cache() + "/failed/fourge_x-0123.cu", "refused source");
  for (const char* const made : {"/v2/quarantine", "/failed-v1", "/failed"}) {
    std::filesystem::permissions(sandbox.cache() + made, std::filesystem::perms::owner_all);
    for (const auto& file : std::filesystem::directory_iterator(sandbox.cache() + made)) {
      std::filesystem::permissions(
          file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    }
  }
  std::uintmax_t bytes = 0;
  std::size_t usage = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(sandbox.cache())) {
    if (!file.is_regular_file()) continue;
    bytes += file.file_size();
    usage += file.path().parent_path().filename() == "usage" ? 1U : 0U;
  }
  CHECK(usage == 3);  // counters, sizes, one shard's stamps

  const auto cleared = sandbox.run({"cache", "clear", "--yes", "--json"}).json();
  CHECK(cleared.at("entries") == 1);
  CHECK(cleared.at("quarantined") == 1);
  CHECK(cleared.at("failures") == 1);
  CHECK(cleared.at("failed_sources") == 1);
  CHECK(cleared.at("usage_files") == usage);
  CHECK(cleared.at("bytes") == bytes);
  CHECK(cleared.at("left").empty());
  CHECK(names_in(sandbox.cache()).empty());

  REQUIRE(sandbox.run({"build", kSpec}).exit_code == 0);
  const std::string text = sandbox.run({"cache", "clear", "--yes"}).out;
  CHECK(text.find(sandbox.cache()) != std::string::npos);
  CHECK(text.find("\n  1 kernels\n") != std::string::npos);
  CHECK(text.find("\n  2 files of counters, sizes and times of use\n") != std::string::npos);
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
