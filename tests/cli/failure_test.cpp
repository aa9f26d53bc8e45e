// Compiles that fail, crash, hang or eat memory, by way of a libnvrtc with faults.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"

using namespace fourge::tests;

namespace {

class FaultySandbox : public Sandbox {
 public:
  FaultySandbox() {
    const auto real = run({"doctor", "--json"}).json().at("nvrtc").at("path");
    set_variable("FOURGE_FAKE_NVRTC_REAL", real.get<std::string>());
    set_variable("FOURGE_FAKE_NVRTC_CALLS", path("calls"));
    set_variable("FOURGE_NVRTC", FOURGE_FAKE_NVRTC);
  }

  void set_fault(const std::string& fault) { set_variable("FOURGE_FAKE_NVRTC_FAULT", fault); }
  void set_fault_once(const std::string& fault) {
    write_text(path("fuse"), "");
    set_variable("FOURGE_FAKE_NVRTC_ONCE", path("fuse"));
    set_fault(fault);
  }
  // NVRTC runs so far.
  std::size_t calls() const {
    return std::filesystem::exists(path("calls")) ? read_text(path("calls")).size() : 0;
  }
};

// Six variants.
std::vector<std::string> prewarm_with(const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"prewarm",
                                     "--op",
                                     "nvfp4_quantize",
                                     "--target",
                                     "sm_90a",
                                     "--variants",
                                     "in=bf16,tpc=1,scale=tensor,4over6=off",
                                     "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

TEST_CASE("cli: many processes see one failed compile, with its log") {
  FaultySandbox sandbox;
  sandbox.set_fault("fail");
  std::vector<RunningCommand> running;
  for (int i = 0; i < 16; ++i) running.push_back(sandbox.start({"build", kSpec}));
  int remembered = 0;
  for (RunningCommand& command : running) {
    const CommandResult result = command.wait();
    CHECK(result.exit_code == 4);
    CHECK(result.says("NVRTC_ERROR_COMPILATION"));
    CHECK(result.says("this source is refused on purpose"));
    remembered += result.says("remembered since") && result.says("--retry-failed") ? 1 : 0;
  }
  CHECK(remembered == 15);
  CHECK(sandbox.calls() == 1);
  CHECK(entry_files(sandbox.cache()).empty());
  CHECK(names_in(sandbox.path("run/fourge")).empty());

  const auto listed = sandbox.run({"cache", "list", "--failed", "--json"}).json().at("failures");
  REQUIRE(listed.size() == 1);
  CHECK(listed.at(0).at("spec") == kSpec);
  CHECK(listed.at(0).at("status") == "NVRTC_ERROR_COMPILATION");
  CHECK(listed.at(0).at("forgotten_in_seconds") > 0);
  CHECK(std::filesystem::exists(listed.at(0).at("source").get<std::string>()));
  const auto text = sandbox.run({"cache", "list", "--failed"}).out;
  CHECK(text.find("refused on purpose") != std::string::npos);
  CHECK(sandbox.run({"cache", "list", "--json"}).json().at("entries").empty());
}

TEST_CASE("cli: a remembered failure is tried again when asked and when forgotten") {
  FaultySandbox sandbox;
  sandbox.set_fault("fail");
  REQUIRE(sandbox.run({"build", kSpec}).exit_code == 4);
  sandbox.set_fault("");
  REQUIRE(sandbox.run({"build", kSpec}).exit_code == 4);
  CHECK(sandbox.calls() == 1);
  SECTION("memory off") {
    sandbox.set_variable("FOURGE_FAILURE_MEMORY", "0");
    CHECK(sandbox.run({"build", kSpec}).exit_code == 0);
  }
  SECTION("prewarm --retry-failed") {
    const std::vector<std::string> prewarm{
        "prewarm",
        "--op",
        "nvfp4_quantize",
        "--target",
        "sm_90a",
        "--variants",
        "in=f16,layout=8x4,scale=tensor,math=exact,tpc=2,4over6=off",
        "--json"};
    CHECK(sandbox.run(prewarm).json().at("failed") == 1);
    auto again = prewarm;
    again.push_back("--retry-failed");
    CHECK(sandbox.run(again).json().at("compiled") == 1);
  }
  SECTION("cache clear") {
    CHECK(sandbox.run({"cache", "clear", "--yes", "--json"}).json().at("failures") == 1);
    CHECK(sandbox.run({"build", kSpec}).exit_code == 0);
  }
  CHECK(sandbox.calls() == 2);
  CHECK(sandbox.run({"build", kSpec}).exit_code == 0);
  CHECK(sandbox.run({"cache", "list", "--failed", "--json"}).json().at("failures").size() <= 1);
  CHECK(sandbox.calls() == 2);
}

TEST_CASE("cli: what the surroundings did is not remembered") {
  FaultySandbox sandbox;
  SECTION("no memory") {
    sandbox.set_fault("memory");
    const CommandResult result = sandbox.run({"build", kSpec});
    CHECK(result.exit_code == 4);
    CHECK(result.says("NVRTC_ERROR_OUT_OF_MEMORY"));
  }
  SECTION("a crash") {
    sandbox.set_fault("crash");
    CHECK(sandbox.run({"build", kSpec}).exit_code == 128 + 6);
  }
  CHECK(sandbox.run({"cache", "list", "--failed", "--json"}).json().at("failures").empty());
  sandbox.set_fault("");
  CHECK(sandbox.run({"build", kSpec}).exit_code == 0);
  CHECK(sandbox.calls() == 2);
}

TEST_CASE("cli: a prewarm worker that crashes, hangs or eats memory fails its spec only") {
  FaultySandbox sandbox;
  std::string fault;
  std::string kind;
  std::string cause;
  std::vector<std::string> more{"--jobs", "2"};
  SECTION("crashes") {
    fault = "crash";
    kind = "worker_died";
    cause = "signal 6";
  }
  SECTION("hangs") {
    fault = "hang";
    kind = "timeout";
    cause = "not built within 8 s";
    more.insert(more.end(), {"--timeout", "8"});
  }
  SECTION("eats memory") {
    fault = "eat";
    kind = "out_of_memory";
    // AddressSanitizer keeps what was freed for a while: a good worker then uses 400.
#if defined(__SANITIZE_ADDRESS__)
    const std::string limit = "1200";
#else
    const std::string limit = "400";
#endif
    cause = "the limit is " + limit + " MiB";
    more.insert(more.end(), {"--memory", limit});
  }
  SECTION("has no memory") {
    fault = "memory";
    kind = "out_of_memory";
    cause = "NVRTC_ERROR_OUT_OF_MEMORY";
  }
  sandbox.set_fault_once(fault);
  const CommandResult result = sandbox.run(prewarm_with(more));
  INFO(result.err);
  CHECK(result.exit_code == 4);
  const auto report = result.json();
  CHECK(report.at("compiled") == 5);
  REQUIRE(report.at("failed") == 1);
  const auto failure = report.at("failures").at(0);
  CHECK(failure.at("kind") == kind);
  CHECK(failure.at("message").get<std::string>().find(cause) != std::string::npos);
  CHECK(failure.at("spec").get<std::string>().rfind("nvfp4_quantize[", 0) == 0);
  CHECK(result.says("FAILED"));

  // Nothing of this is remembered: the next run compiles it.
  const auto again = sandbox.run(prewarm_with({})).json();
  CHECK(again.at("compiled") == 1);
  CHECK(again.at("from_cache") == 5);
}
