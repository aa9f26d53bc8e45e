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

TEST_CASE("cli: doctor tells of each read-only cache, and what is wrong with it") {
  Sandbox sandbox;
  const std::string good = sandbox.path("good");
  const std::string open = sandbox.path("open");
  REQUIRE(sandbox.run({"build", "row_amax@sm_80", "--cache-dir", good}).exit_code == 0);
  std::filesystem::create_directories(open);
  std::filesystem::permissions(open, std::filesystem::perms(0777));
  sandbox.set_variable("FOURGE_CACHE_READ_ONLY",
                       good + ":" + open + ":" + sandbox.path("none.fourge"));
  const auto report = sandbox.run({"doctor", "--json"}).json();
  CHECK(report.at("prewarmed") == 1);
  REQUIRE(report.at("read_only").size() == 3);
  CHECK(report.at("read_only").at(0).at("entries") == 1);
  CHECK(report.at("read_only").at(0).at("problem") == "");
  CHECK(report.at("read_only").at(1).at("problem").get<std::string>().find("chmod go-w") !=
        std::string::npos);
  CHECK(report.at("read_only").at(2).at("kind") == "bundle");
  const CommandResult text = sandbox.run({"doctor"});
  CHECK(text.exit_code == 0);
  CHECK(text.out.find(good + " (directory), 1 kernels") != std::string::npos);
  CHECK(text.out.find(open + ": NOT USED") != std::string::npos);
  CHECK(text.out.find("there is no " + sandbox.path("none.fourge")) != std::string::npos);

  const CommandResult built = sandbox.run({"build", "row_amax@sm_90a"});
  CHECK(built.exit_code == 0);
  CHECK(built.says("there is no read-only cache tier " + sandbox.path("none.fourge")));

  // A cache of one's own that is too open is told as that, not as one that cannot be written.
  sandbox.set_variable("FOURGE_CACHE_READ_ONLY", "");
  const CommandResult own = sandbox.run({"doctor", "--cache-dir", open});
  CHECK(own.out.find("Missing: a cache directory that is used") != std::string::npos);
  CHECK(own.out.find("can be written") == std::string::npos);
}
