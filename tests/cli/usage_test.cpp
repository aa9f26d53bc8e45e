#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"

using fourge::tests::CommandResult;
using fourge::tests::Sandbox;

TEST_CASE("cli: help and version") {
  Sandbox sandbox;
  const CommandResult help = sandbox.run({"--help"});
  CHECK(help.exit_code == 0);
  CHECK(help.out.find("Exit codes:") != std::string::npos);
  CHECK(help.out.find("\n  worker ") == std::string::npos);
  for (const char* command :
       {"run", "build", "inspect", "prewarm", "cache", "variants", "bench", "tune", "doctor"}) {
    CHECK(help.out.find(command) != std::string::npos);
    const CommandResult each = sandbox.run({command, "--help"});
    CHECK(each.exit_code == 0);
    CHECK(each.out.find("Exit codes:") != std::string::npos);
  }
  const CommandResult version = sandbox.run({"--version"});
  CHECK(version.exit_code == 0);
  CHECK(version.out.rfind("fourge ", 0) == 0);
}

TEST_CASE("cli: bad usage names what was asked and exits with 2") {
  Sandbox sandbox;
  struct Case {
    std::vector<std::string> arguments;
    const char* message;
  };
  const Case cases[] = {
      {{}, "subcommand"},
      {{"frobnicate"}, "frobnicate"},
      {{"run", "--bogus"}, "--bogus"},
      {{"run"}, "no operation"},
      {{"cache"}, "subcommand"},
      {{"prewarm"}, "--target"},
      {{"inspect"}, "spec"},
      {{"doctor", "--log", "loud"}, "loud"},
      {{"tune"}, "name an operation"},
      {{"tune", "frobnicate"}, "frobnicate"},
      {{"tune", "fp8_quantize_128x128"}, "nothing to tune"},
      {{"tune", "nvfp4_quantize", "--shapes", "12"}, "12"},
      {{"run", "nvfp4_quantize", "--shape", "1x16", "--device", "tpu"}, "tpu"},
      {{"run", "nvfp4_quantise", "--shape", "1x16"}, "nvfp4_quantise"},
      {{"build", "nvfp4_quantize[colour=red]@sm_90a"}, "colour"},
      {{"build", "nvfp4_quantize[layout=16x4]@sm_90a"}, "16x4"},
      {{"build", "nvfp4_quantize@sm_9000"}, "sm_9000"},
      {{"build", "nvfp4_quantize"}, "target"},
      {{"build", "nvfp4_quantize@sm_90a", "--target", "sm_80"}, "sm_80"},
      {{"inspect", "nvfp4_quantize[math=@sm_90a"}, "nvfp4_quantize[math=@sm_90a"},
      {{"inspect", "nvfp4_quantize@sm_90a", "--ptx", "--sass"}, "--sass"},
      {{"prewarm", "--target", "sm_1"}, "sm_1"},
      {{"prewarm", "--target", ""}, "target"},
      {{"prewarm", "--target", "sm_90a", "--op", "softmax"}, "softmax"},
      {{"prewarm", "--target", "sm_90a", "--variants", "math=slow"}, "slow"},
      {{"prewarm", "--target", "sm_90a", "--variants", "exact"}, "exact"},
      {{"prewarm", "--target", "sm_90a", "--jobs", "0"}, "--jobs"},
      {{"variants", "--op", "softmax"}, "softmax"},
      {{"cache", "clear"}, "--yes"},
      {{"bench", "softmax"}, "softmax"},
      {{"--json", "--log", "warn", "frobnicate"}, "unknown command \"frobnicate\""},
      {{"cache", "frobnicate"}, "unknown command \"frobnicate\"; known: list"},
      {{"cache", "trim", "--limit", "1X"}, "fourge cache trim --help"},
      {{"cache", "trim", "--limit", "-1"}, "\"-1\" is no whole number"},
      {{"cache", "trim", "--limit", "99999999999999999999"}, "is no whole number"},
      {{"cache", "verify", "--cache-dir", "/nowhere/at/all"}, "there is no /nowhere/at/all"},
      {{"run", "nvfp4_quantize", "--shape", "1x16", "--seed", "-1"}, "\"-1\" is no whole number"},
      {{"run", "nvfp4_quantize[layout=8x4]", "--shape", "1x16", "--layout", "128x4"}, "layout=8x4"},
      {{"run", "nvfp4_quantize[in=e4m3,math=fast]", "--shape", "1x16", "--verify"},
       "in=bf16 or f16"},
      {{"bench", "nvfp4_quantize", "--on", "host"}, "--on is \"host\""},
      {{"variants", "--table", ""}, "--table: its value is empty"},
      {{"bench", "nvfp4_quantize[tpc=3]"}, "tpc"},
      {{"bench", "nvfp4_quantize", "--shapes", "16x16,12"}, "\"12\" is not a shape"},
  };
  for (const Case& one : cases) {
    const CommandResult result = sandbox.run(one.arguments);
    INFO("expected " << one.message << " in: " << result.err);
    CHECK(result.exit_code == 2);
    const bool json = !one.arguments.empty() && one.arguments.front() == "--json";
    CHECK(result.out.empty() != json);
    CHECK(result.says("fourge: error: "));
    CHECK(result.says(one.message));
  }
}

TEST_CASE("cli: with --json errors are an object on standard output too") {
  Sandbox sandbox;
  const CommandResult spec = sandbox.run({"build", "nvfp4_quantize@sm_9000", "--json"});
  CHECK(spec.exit_code == 2);
  CHECK(spec.json().at("error").at("kind") == "invalid_spec");
  CHECK(spec.json().at("error").at("message").get<std::string>().find("sm_9000") !=
        std::string::npos);
  const CommandResult usage = sandbox.run({"run", "--bogus", "--json"});
  CHECK(usage.exit_code == 2);
  CHECK(usage.json().at("error").at("kind") == "usage");
}

TEST_CASE("cli: variants lists axes and legal specs") {
  Sandbox sandbox;
  const CommandResult all = sandbox.run({"variants", "--op", "nvfp4_quantize", "--json"});
  REQUIRE(all.exit_code == 0);
  const auto op = all.json().at("ops").at(0);
  CHECK(op.at("name") == "nvfp4_quantize");
  std::size_t combinations = 1;
  for (const auto& axis : op.at("axes")) {
    combinations *= axis.at("values").size();
    CHECK(axis.at("default") == axis.at("values").at(0).at("value"));
    CHECK(!axis.at("summary").get<std::string>().empty());
  }
  CHECK(!op.at("variants").empty());
  CHECK(op.at("variants").size() <= combinations);

  const CommandResult some = sandbox.run(
      {"variants", "--op", "nvfp4_quantize", "--target", "sm_90a,sm_80,sm_90a", "--variants",
       "math=exact,in=bf16,in=f16,layout=8x4,tpc=1,scale=tensor,4over6=off", "--json"});
  const auto specs = some.json().at("ops").at(0).at("variants");
  REQUIRE(specs.size() == 4);
  CHECK(specs.at(0).get<std::string>().find("layout=8x4") != std::string::npos);
  CHECK(specs.at(0).get<std::string>().find("@sm_90a") != std::string::npos);
  CHECK(sandbox.run({"variants"}).out.find("layout") != std::string::npos);
}
