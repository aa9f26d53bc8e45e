// fourge prewarm: what a manifest or the history names, and --check.
#include "cache/history_log.hpp"
#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"

#include <string>
#include <vector>

namespace fourge::tests {
namespace {

using Arguments = std::vector<std::string>;

Arguments prewarm(const Arguments& more) {
  Arguments arguments{"prewarm", "--jobs", "2"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

TEST_CASE("cli: prewarm builds a manifest with its fallback variants, and checks it") {
  Sandbox sandbox;
  const std::string file = sandbox.path("fleet.json");
  write_text(file, R"({"fourge_manifest": 1, "targets": ["sm_90a"],
    "specs": ["row_amax[tpr=32]", {"spec": "global_scale", "targets": ["sm_80"]}]})");

  const CommandResult before = sandbox.run({"prewarm", "--manifest", file, "--check"});
  CHECK(before.exit_code == 1);
  CHECK(before.out.rfind("0 of 3 present\n", 0) == 0);
  CHECK(before.out.find("missing: row_amax[in=bf16,tpr=32]@sm_90a\n") != std::string::npos);
  CHECK(entry_files(sandbox.cache()).empty());

  const CommandResult built = sandbox.run(prewarm({"--manifest", file, "--json"}));
  REQUIRE(built.exit_code == 0);
  CHECK(built.json().at("compiled") == 3);
  CHECK(entry_files(sandbox.cache()).size() == 3);

  const CommandResult after = sandbox.run({"prewarm", "--manifest", file, "--check", "--json"});
  CHECK(after.exit_code == 0);
  CHECK(after.json().at("present") == 3);
  CHECK(after.json().at("missing").empty());

  std::filesystem::remove(entry_files(sandbox.cache()).front());
  const CommandResult less = sandbox.run({"prewarm", "--manifest", file, "--check"});
  CHECK(less.exit_code == 1);
  CHECK(less.out.rfind("2 of 3 present\n", 0) == 0);
}

TEST_CASE("cli: prewarm refuses a manifest with line and field") {
  Sandbox sandbox;
  const std::string file = sandbox.path("fleet.json");
  write_text(file, "{\"fourge_manifest\": 1,\n\"specs\": [\n\"row_amix\"]}");
  const CommandResult refused = sandbox.run(prewarm({"--manifest", file}));
  CHECK(refused.exit_code == 2);
  CHECK(refused.says("fleet.json:3: specs[0]: "));
  write_text(file, "{\"fourge_manifest\": 1, \"specs\": [\"row_amax\"]}");
  const CommandResult vague = sandbox.run(prewarm({"--manifest", file}));
  CHECK(vague.exit_code == 2);
  CHECK(vague.says("give --target"));
  CHECK(sandbox.run({"prewarm", "--manifest", file, "--target", "sm_90a", "--check"}).exit_code ==
        1);
  CHECK(sandbox.run({"prewarm", "--manifest", sandbox.path("none"), "--check"}).exit_code == 5);
  CHECK(sandbox.run({"prewarm"}).says("--from-history"));
  CHECK(sandbox.run({"prewarm", "--manifest", file, "--from-history"}).exit_code == 2);
}

TEST_CASE("cli: prewarm takes only the targets that are given, of a manifest, too") {
  Sandbox sandbox;
  const std::string file = sandbox.path("fleet.json");
  write_text(file, R"({"fourge_manifest": 1, "targets": ["sm_90a", "sm_100a"],
    "specs": ["row_amax[tpr=32]", {"spec": "global_scale", "targets": ["sm_80"]}]})");
  const auto check = [&](const std::string& targets) {
    return sandbox.run({"prewarm", "--manifest", file, "--target", targets, "--check", "--json"});
  };
  REQUIRE(sandbox.run(prewarm({"--manifest", file, "--target", "sm_80"})).exit_code == 0);
  CHECK(check("sm_80").json().at("variants") == 1);
  CHECK(check("sm_80").exit_code == 0);
  const CommandResult hopper = check("sm_90a");
  CHECK(hopper.exit_code == 1);
  CHECK(hopper.json().at("present") == 0);
  for (const auto& missing : hopper.json().at("missing")) {
    CHECK(missing.get<std::string>().find("@sm_90a") != std::string::npos);
  }
  const CommandResult none = check("sm_120a");
  CHECK(none.exit_code == 2);
  CHECK(none.says("names nothing for sm_120a"));
}

TEST_CASE("cli: prewarm builds what runtimes asked for") {
  Sandbox sandbox;
  const CommandResult none = sandbox.run(prewarm({"--from-history"}));
  CHECK(none.exit_code == 2);
  CHECK(none.says("no history"));
  cache::HistoryLog history(sandbox.cache());
  REQUIRE(history.append("row_amax[in=bf16,tpr=32]@sm_90a"));
  REQUIRE(history.append("row_amax[in=bf16,tpr=128]@sm_80"));
  REQUIRE(history.append("an_operation_of_my_own[x=1]@sm_90a"));
  const CommandResult check = sandbox.run({"prewarm", "--from-history", "--check", "--json"});
  CHECK(check.exit_code == 1);
  CHECK(check.json().at("variants") == 2);
  CHECK(check.json().at("present") == 0);
  CHECK(check.json().at("unknown") == 1);
  const CommandResult one =
      sandbox.run(prewarm({"--from-history", "--target", "sm_90a", "--json"}));
  CHECK(one.exit_code == 0);
  CHECK(one.json().at("compiled") == 1);
  CHECK(sandbox.run({"prewarm", "--from-history", "--check"}).out.rfind("1 of 2 present", 0) == 0);
  CHECK(sandbox.run(prewarm({"--from-history"})).exit_code == 0);
  CHECK(sandbox.run({"prewarm", "--from-history", "--check"}).exit_code == 0);
  // The command itself asks for nothing.
  CHECK(history.read().texts.size() == 3);
}

}  // namespace fourge::tests
