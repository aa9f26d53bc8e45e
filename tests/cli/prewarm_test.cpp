#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"

using namespace fourge::tests;

namespace {

// Six variants.
const std::vector<std::string> kPrewarm{"prewarm",
                                        "--op",
                                        "nvfp4_quantize",
                                        "--target",
                                        "sm_90a",
                                        "--variants",
                                        "in=bf16,tpc=1,scale=tensor,4over6=off",
                                        "--json"};

std::vector<std::string> prewarm_with(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = kPrewarm;
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

bool is_worker_of(pid_t process, pid_t parent) {
  const std::string directory = "/proc/" + std::to_string(process);
  std::ifstream stat(directory + "/stat");
  std::string text;
  std::getline(stat, text);
  const std::size_t name_end = text.rfind(')');  // "PID (NAME) STATE PARENT ..."
  if (name_end == std::string::npos || name_end + 4 > text.size() ||
      std::strtol(text.c_str() + name_end + 4, nullptr, 10) != parent) {
    return false;
  }
  std::ifstream command(directory + "/cmdline");
  std::string program;
  std::string subcommand;
  return std::getline(command, program, '\0') && std::getline(command, subcommand, '\0') &&
         subcommand == "worker";
}

// The first worker process that prewarm starts; -1 if none appears in half a minute.
pid_t wait_for_worker(pid_t parent) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < deadline) {
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const pid_t process =
          static_cast<pid_t>(std::strtol(entry.path().filename().c_str(), nullptr, 10));
      if (process > 0 && is_worker_of(process, parent)) {
        return process;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return -1;
}

}  // namespace

TEST_CASE("cli: prewarm compiles every variant once, and a second run nothing") {
  Sandbox sandbox;
  const CommandResult first = sandbox.run(prewarm_with({"--jobs", "2"}));
  REQUIRE(first.exit_code == 0);
  CHECK(first.json().at("variants") == 6);
  CHECK(first.json().at("compiled") == 6);
  CHECK(first.json().at("from_cache") == 0);
  CHECK(first.json().at("failed") == 0);
  CHECK(first.says("[6/6] nvfp4_quantize["));
  CHECK(entry_files(sandbox.cache()).size() == 6);

  const CommandResult second = sandbox.run(kPrewarm);
  REQUIRE(second.exit_code == 0);
  CHECK(second.json().at("compiled") == 0);
  CHECK(second.json().at("from_cache") == 6);

  const CommandResult plain =
      sandbox.run({"prewarm", "--op", "nvfp4_quantize", "--target", "sm_90a", "--variants",
                   "in=bf16,tpc=1,scale=tensor,4over6=off"});
  CHECK(plain.exit_code == 0);
  CHECK(plain.out.find("nothing to compile: 6 of 6") != std::string::npos);
  CHECK(plain.out.find('\x1b') == std::string::npos);

  const CommandResult more =
      sandbox.run({"prewarm", "--op", "nvfp4_quantize", "--target", "sm_90a", "--variants",
                   "in=bf16,layout=8x4,scale=tensor,4over6=off"});
  CHECK(more.exit_code == 0);
  CHECK(more.out.find("6 variants: 4 compiled, 2 from cache, 0 failed in ") != std::string::npos);
}

TEST_CASE("cli: a prewarm worker that is killed is reported, replaced, and fails nothing else") {
  Sandbox sandbox;
  RunningCommand prewarm = sandbox.start(prewarm_with({"--jobs", "1"}));
  const pid_t worker = wait_for_worker(prewarm.id());
  REQUIRE(worker > 0);
  REQUIRE(::kill(worker, SIGKILL) == 0);
  const CommandResult result = prewarm.wait();
  CHECK(result.exit_code == 4);
  const auto report = result.json();
  CHECK(report.at("variants") == 6);
  CHECK(report.at("compiled") == 5);
  REQUIRE(report.at("failed") == 1);
  const auto failure = report.at("failures").at(0);
  CHECK(failure.at("kind") == "worker_died");
  CHECK(failure.at("spec").get<std::string>().rfind("nvfp4_quantize[", 0) == 0);
  CHECK(failure.at("message").get<std::string>().find("signal 9") != std::string::npos);
  CHECK(result.says("FAILED"));

  const CommandResult again = sandbox.run(kPrewarm);
  CHECK(again.exit_code == 0);
  CHECK(again.json().at("compiled") == 1);
  CHECK(again.json().at("from_cache") == 5);
}

TEST_CASE("cli: a prewarm worker that hangs is killed at the deadline") {
  Sandbox sandbox;
  RunningCommand prewarm = sandbox.start(prewarm_with({"--jobs", "2", "--timeout", "5"}));
  const pid_t worker = wait_for_worker(prewarm.id());
  REQUIRE(worker > 0);
  REQUIRE(::kill(worker, SIGSTOP) == 0);
  const CommandResult result = prewarm.wait();
  CHECK(result.exit_code == 4);
  CHECK(result.json().at("compiled") == 5);
  REQUIRE(result.json().at("failed") == 1);
  CHECK(result.json().at("failures").at(0).at("kind") == "timeout");
  CHECK(result.says("not built within 5 s"));
  CHECK(::kill(worker, 0) != 0);  // it is gone
}

TEST_CASE("cli: prewarm that is interrupted keeps and counts what is done") {
  Sandbox sandbox;
  const std::string baked = sandbox.path("baked");
  RunningCommand prewarm = sandbox.start({"prewarm", "--op", "rmsnorm_quantize", "--target",
                                          "sm_90a", "--jobs", "2", "--json", "--output", baked});
  const pid_t worker = wait_for_worker(prewarm.id());
  REQUIRE(worker > 0);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto built = [&] {
    std::size_t count = 0;
    std::error_code error;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(baked, error)) {
      if (entry.path().extension() == ".fourge") ++count;
    }
    return count;
  };
  while (built() < 3) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  // As a terminal does: to the workers, too.
  ::kill(worker, SIGINT);
  ::kill(prewarm.id(), SIGINT);
  const CommandResult result = prewarm.wait();
  CHECK(result.exit_code == 6);
  const auto report = result.json();
  CHECK(report.at("complete") == false);
  CHECK(report.at("compiled") >= 3);
  CHECK(report.at("failed") == 0);
  CHECK(report.at("left").get<int>() + report.at("compiled").get<int>() ==
        report.at("variants").get<int>());
  CHECK(report.at("entries") == report.at("compiled"));
  CHECK(entry_files(baked).size() == report.at("compiled").get<std::size_t>());
  CHECK(names_in(baked) == std::vector<std::string>{"v2"});
}

TEST_CASE("cli: prewarm --output leaves the permissions of a directory that is there") {
  namespace fs = std::filesystem;
  Sandbox sandbox;
  const std::string mine = sandbox.path("mine");
  const std::string everybodys = sandbox.path("everybodys");
  for (const std::string& directory : {mine, everybodys}) fs::create_directories(directory);
  fs::permissions(mine, fs::perms(0700));
  fs::permissions(everybodys, fs::perms(01777));
  const auto bake = [&](const std::string& output) {
    return sandbox.run({"prewarm", "--op", "row_amax", "--target", "sm_90a", "--variants",
                        "in=bf16,tpr=32", "--output", output});
  };
  CHECK(bake(mine).exit_code == 0);
  CHECK(fs::status(mine).permissions() == fs::perms(0700));
  const CommandResult refused = bake(everybodys);
  CHECK(refused.exit_code == 2);
  CHECK(refused.says("mode 1777"));
  CHECK(refused.says("chmod go-w"));
  CHECK(fs::status(everybodys).permissions() == fs::perms(01777));
  CHECK(names_in(everybodys).empty());
  CHECK(bake(sandbox.path("a/new/one/")).exit_code == 0);
  CHECK(fs::status(sandbox.path("a/new/one")).permissions() == fs::perms(0755));
}

TEST_CASE("cli: prewarm into a directory that cannot be written fails") {
  Sandbox sandbox;
  write_text(sandbox.path("file"), "no directory");
  const CommandResult result =
      sandbox.run({"prewarm", "--op", "nvfp4_quantize", "--target", "sm_90a", "--variants",
                   "in=bf16,tpc=1,layout=linear,math=exact,scale=tensor,4over6=off", "--cache-dir",
                   sandbox.path("file/cache"), "--json"});
  CHECK(result.exit_code == 5);
  CHECK(result.json().at("failed") == 1);
  CHECK(result.json().at("failures").at(0).at("kind") == "io");
}
