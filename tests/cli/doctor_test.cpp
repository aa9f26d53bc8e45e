#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"

using fourge::tests::CommandResult;
using fourge::tests::Sandbox;
using fourge::tests::write_text;

TEST_CASE("cli: doctor tells what was found") {
  Sandbox sandbox;
  const CommandResult result = sandbox.run({"doctor", "--json"});
  REQUIRE(result.exit_code == 0);
  const auto report = result.json();
  CHECK(report.at("ok") == true);
  CHECK(report.at("can_compile") == true);
  CHECK(!report.at("nvrtc").at("path").get<std::string>().empty());
  CHECK(!report.at("nvrtc").at("version").get<std::string>().empty());
  CHECK(!report.at("nvrtc").at("build_identity").get<std::string>().empty());
  CHECK(!report.at("nvrtc").at("searched").empty());
  CHECK(report.at("cache").at("directory") == sandbox.cache());
  CHECK(report.at("cache").at("exists") == false);
  CHECK(report.at("cache").at("writable") == true);
  CHECK(!std::filesystem::exists(sandbox.cache()));

  const CommandResult text = sandbox.run({"doctor"});
  CHECK(text.exit_code == 0);
  CHECK(text.out.find(sandbox.cache()) != std::string::npos);
}

TEST_CASE("cli: doctor counts entries and shows the mode of the cache") {
  Sandbox sandbox;
  REQUIRE(sandbox.run({"build", "nvfp4_quantize@sm_80"}).exit_code == 0);
  const auto cache = sandbox.run({"doctor", "--json"}).json().at("cache");
  CHECK(cache.at("exists") == true);
  CHECK(cache.at("mode") == "0700");
  CHECK(cache.at("entries") == 1);
  CHECK(cache.at("bad") == 0);
}

TEST_CASE("cli: doctor without NVRTC says how to get it and exits with 3") {
  Sandbox sandbox;
  const std::string nowhere = sandbox.path("nowhere/libnvrtc.so.13");
  const CommandResult result = sandbox.run({"doctor", "--json", "--nvrtc", nowhere});
  CHECK(result.exit_code == 3);
  const auto report = result.json();
  CHECK(report.at("ok") == false);
  CHECK(report.at("nvrtc").at("searched").at(0) == nowhere);
  CHECK(report.at("missing").at(0).at("what").get<std::string>().find("NVRTC") !=
        std::string::npos);
  CHECK(!report.at("missing").at(0).at("how").get<std::string>().empty());

  sandbox.set_variable("FOURGE_NVRTC", nowhere);
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"build", "nvfp4_quantize@sm_90a"},
        {"inspect", "nvfp4_quantize@sm_90a", "--ptx"},
        {"prewarm", "--target", "sm_90a"}}) {
    const CommandResult other = sandbox.run(arguments);
    CHECK(other.exit_code == 3);
    CHECK(other.says(nowhere));
  }
  // The source needs no compiler.
  CHECK(sandbox.run({"inspect", "nvfp4_quantize@sm_90a", "--source"}).exit_code == 0);
}

TEST_CASE("cli: a library that is not NVRTC is refused") {
  Sandbox sandbox;
  const std::string fake = sandbox.path("libnvrtc.so.13");
  write_text(fake, "not a library");
  const CommandResult result = sandbox.run({"build", "nvfp4_quantize@sm_90a", "--nvrtc", fake});
  CHECK(result.exit_code == 3);
  CHECK(result.says(fake));
}
