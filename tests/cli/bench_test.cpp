// Benchmarks and tuning as commands: what they print when they come to their end, and when they do not. On a
// make-believe driver, for which every replay takes a millisecond.
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

namespace fs = std::filesystem;

constexpr int kInterrupted = 6;
constexpr const char* kBenched = "nvfp4_quantize[in=bf16]";

void use_fake_driver(Sandbox& sandbox) {
  fs::create_directory(sandbox.path("driver"));
  fs::create_symlink(FOURGE_FAKE_CUDA, sandbox.path("driver") + "/libcuda.so.1");
  const char* const inherited = std::getenv("LD_LIBRARY_PATH");
  sandbox.set_variable("LD_LIBRARY_PATH",
                       sandbox.path("driver") + ':' + (inherited == nullptr ? "" : inherited));
  sandbox.set_variable("FOURGE_FAKE_MEMORY_MIB", "64");
  sandbox.set_variable("FOURGE_FAKE_PARAMETERS", "88884888");  // of nvfp4_quantize
}

// Whether the process keeps SIGTERM for a thread that waits for it.
bool handles_term(pid_t id) {
  std::ifstream status("/proc/" + std::to_string(id) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("SigBlk:", 0) == 0) {
      return (std::stoull(line.substr(7), nullptr, 16) >> (SIGTERM - 1) & 1U) != 0;
    }
  }
  return false;
}

CommandResult interrupt(Sandbox& sandbox, const std::vector<std::string>& arguments, int signal) {
  RunningCommand command = sandbox.start(arguments);
  for (int look = 0; look < 3000 && !handles_term(command.id()); ++look) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ::kill(command.id(), signal);
  ::kill(command.id(), signal);  // as `timeout` does
  return command.wait();
}

}  // namespace

TEST_CASE("cli: a benchmark that is interrupted ends its document", "[cli]") {
  Sandbox sandbox;
  const CommandResult result = interrupt(
      sandbox, {"bench", "jit", "--json", "--on", "host", "--op", "scale_interleave"}, SIGTERM);
  CHECK(result.exit_code == kInterrupted);
  CHECK(result.says("interrupted"));
  const auto document = result.json();
  CHECK(document.at("complete") == false);
  CHECK(document.at("figures").is_array());
  CHECK(document.at("compiles").empty());
  CHECK_FALSE(document.contains("error"));
}

TEST_CASE("cli: doctor without NVRTC is ready where there are a GPU and kernels", "[cli]") {
  Sandbox sandbox;
  use_fake_driver(sandbox);
  const std::vector<std::string> doctor{"doctor", "--nvrtc", sandbox.path("none/libnvrtc.so.13")};
  CHECK(sandbox.run(doctor).exit_code == 3);
  REQUIRE(sandbox.run({"build", "row_amax@sm_90a"}).exit_code == 0);
  const CommandResult ready = sandbox.run(doctor);
  CHECK(ready.exit_code == 0);
  CHECK(ready.out.find("nothing compiles") != std::string::npos);
  CHECK(ready.out.find("Missing: NVRTC") != std::string::npos);
}

TEST_CASE("cli: bench measures and says that it is complete", "[cli]") {
  Sandbox sandbox;
  use_fake_driver(sandbox);
  const CommandResult result =
      sandbox.run({"bench", kBenched, "--shapes", "1x64,3x64", "--samples", "5", "--json"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const auto document = result.json();
  CHECK(document.at("complete") == true);
  CHECK(document.at("calls") == 2);
  REQUIRE(document.at("results").size() == 2);
  const auto& first = document.at("results").at(0);
  CHECK(first.at("replays") == 5);
  // Several replays are one turn through the sets of buffers.
  CHECK(first.at("buffer_sets") == 12'000);
  CHECK(first.at("median_us").get<double>() == 0.25);

  const CommandResult text = sandbox.run({"bench", kBenched, "--shapes", "1x64", "--samples", "5"});
  CHECK(text.exit_code == 0);
  CHECK(text.out.find("1x64") != std::string::npos);
}

TEST_CASE("cli: bench keeps what it has when a measurement fails", "[cli]") {
  Sandbox sandbox;
  use_fake_driver(sandbox);
  const CommandResult result =
      sandbox.run({"bench", kBenched, "row_amax", "--shapes", "1x64", "--samples", "5", "--json"});
  CHECK(result.exit_code == 5);
  CHECK(result.says("row_amax"));
  const auto document = result.json();
  CHECK(document.at("complete") == false);
  CHECK(document.at("error").at("kind") == "internal");
  CHECK(document.at("calls") == 2);
  CHECK(document.at("results").size() == 1);
}

TEST_CASE("cli: tune keeps what it finds", "[cli]") {
  Sandbox sandbox;
  use_fake_driver(sandbox);
  const CommandResult result =
      sandbox.run({"tune", kBenched, "--shapes", "1x64", "--samples", "9", "--json"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const auto document = result.json();
  CHECK(document.at("complete") == true);
  CHECK(document.at("kept") == true);
  REQUIRE(document.at("results").size() == 1);
  CHECK(document.at("results").at(0).at("variants").size() > 1);
  CHECK(names_in(sandbox.cache() + "/tuned-v1").size() == 1);
}

TEST_CASE("cli: tune that is interrupted ends its document, and keeps what it found", "[cli]") {
  Sandbox sandbox;
  use_fake_driver(sandbox);
  std::string shapes = "1x64";
  for (int rows = 2; rows <= 60; ++rows) shapes += ',' + std::to_string(rows) + "x64";
  const CommandResult result =
      interrupt(sandbox, {"tune", kBenched, "--shapes", shapes, "--json"}, SIGINT);
  CHECK(result.exit_code == kInterrupted);
  const auto document = result.json();
  CHECK(document.at("complete") == false);
  CHECK(document.at("calls") == 60);
  CHECK(document.at("results").size() < 60);
}

}  // namespace fourge::tests
