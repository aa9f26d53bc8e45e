#include <filesystem>
#include <set>

#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"

using namespace fourge::tests;

TEST_CASE("cli: 32 processes at once on an empty cache compile once") {
  constexpr int kProcesses = 32;
  Sandbox sandbox;
  std::vector<RunningCommand> running;
  for (int i = 0; i < kProcesses; ++i) {
    running.push_back(sandbox.start(
        {"build", "nvfp4_quantize[in=f16,layout=128x4,math=fast,tpc=4]@sm_90a", "--json"}));
  }
  int compiles = 0;
  int compiled_origins = 0;
  std::set<std::string> keys;
  std::set<std::string> digests;
  for (RunningCommand& command : running) {
    const CommandResult result = command.wait();
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    const auto report = result.json();
    compiles += report.at("compiles").get<int>();
    compiled_origins += report.at("origin") == "compiled" ? 1 : 0;
    CHECK(report.at("publish_failures") == 0);
    keys.insert(report.at("key").get<std::string>());
    digests.insert(report.at("cubin_sha256").get<std::string>());
  }
  CHECK(compiles == 1);
  CHECK(compiled_origins == 1);
  CHECK(keys.size() == 1);
  CHECK(digests.size() == 1);
  CHECK(entry_files(sandbox.cache()).size() == 1);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(sandbox.cache())) {
    CHECK(entry.path().extension() != ".tmp");
  }
}
