#include <fourge/runtime.hpp>

#include <cstdlib>
#include <filesystem>

#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"

using namespace fourge::tests;

namespace {
constexpr const char* kInspected =
    "nvfp4_quantize[in=bf16,layout=128x4,scale=tensor,math=exact,tpc=1,4over6=off]@sm_90a";
}

TEST_CASE("cli: inspect --source is exactly what the library generates") {
  Sandbox sandbox;
  const auto spec = fourge::KernelSpec::parse(kInspected);
  const CommandResult text = sandbox.run({"inspect", kInspected, "--source"});
  REQUIRE(text.exit_code == 0);
  CHECK(text.out == fourge::generate_source(spec));
  const CommandResult json = sandbox.run(
      {"inspect", "nvfp4_quantize[layout=128x4]", "--target", "sm_90a", "--source", "--json"});
  REQUIRE(json.exit_code == 0);
  CHECK(json.json().at("spec") == kInspected);
  CHECK(json.json().at("source") == fourge::generate_source(spec));
  CHECK(json.json().at("options") == fourge::compile_options(spec));
  CHECK(!std::filesystem::exists(sandbox.cache()));
}

TEST_CASE("cli: inspect --ptx shows the target's instructions") {
  Sandbox sandbox;
  const std::string instruction = "cvt.rn.satfinite.e2m1x2.f32";
  const CommandResult with = sandbox.run({"inspect", "nvfp4_quantize@sm_100a", "--ptx"});
  REQUIRE(with.exit_code == 0);
  CHECK(with.out.find(".target sm_100a") != std::string::npos);
  CHECK(with.out.find(instruction) != std::string::npos);
  const CommandResult without = sandbox.run({"inspect", kInspected, "--ptx"});
  REQUIRE(without.exit_code == 0);
  CHECK(without.out.find(".target sm_90a") != std::string::npos);
  CHECK(without.out.find(instruction) == std::string::npos);
}

TEST_CASE("cli: inspect --resources reads the cubin") {
  Sandbox sandbox;
  const CommandResult result = sandbox.run({"inspect", kInspected, "--resources", "--json"});
  REQUIRE(result.exit_code == 0);
  const auto report = result.json();
  CHECK(report.at("target") == "sm_90a");
  const auto resources = report.at("resources");
  CHECK(resources.at("registers") > 0);
  CHECK(resources.at("registers") <= 255);
  CHECK(resources.at("code_bytes") > 0);
  CHECK(resources.at("local_loads") == 0);
  CHECK(resources.at("local_stores") == 0);
  const auto spec = fourge::KernelSpec::parse(kInspected);
  REQUIRE(resources.at("params").size() == spec.op().params.size());
  for (std::size_t i = 0; i < spec.op().params.size(); ++i) {
    CHECK(resources.at("params").at(i).at("offset") == spec.op().params[i].offset);
    CHECK(resources.at("params").at(i).at("bytes") == spec.op().params[i].size);
  }
  const CommandResult text = sandbox.run({"inspect", kInspected});
  CHECK(text.exit_code == 0);
  CHECK(text.out.find("registers") != std::string::npos);
}

TEST_CASE("cli: inspect --sass runs a disassembler from PATH, without a shell") {
  Sandbox sandbox;
  const std::string tools = sandbox.path("tools with space");
  std::filesystem::create_directory(tools);
  const std::string program = tools + "/nvdisasm";
  write_text(program,
             "#!/bin/sh\necho \"arguments $# $1\"\ntest -s \"$2\" && echo cubin is there\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  sandbox.set_variable("PATH", tools + ":/usr/bin:/bin");
  const CommandResult found = sandbox.run({"inspect", kInspected, "--sass"});
  CHECK(found.exit_code == 0);
  CHECK(found.out == "arguments 2 -c\ncubin is there\n");
  CHECK(names_in(sandbox.path("tmp")).empty());

  write_text(program, "#!/bin/sh\nexit 3\n");
  const CommandResult failing = sandbox.run({"inspect", kInspected, "--sass"});
  CHECK(failing.exit_code == 5);
  CHECK(failing.says("exit code 3"));
}

TEST_CASE("cli: inspect --sass without a disassembler says what it needs") {
  const char* home = std::getenv("CUDA_HOME");
  for (const std::string& directory :
       {std::string(home == nullptr ? "" : home), std::string("/usr/local/cuda")}) {
    if (std::filesystem::exists(directory + "/bin/nvdisasm") ||
        std::filesystem::exists(directory + "/bin/cuobjdump")) {
      return;  // it is found there, whatever PATH is
    }
  }
  Sandbox sandbox;
  sandbox.set_variable("PATH", sandbox.path("home"));
  const CommandResult result = sandbox.run({"inspect", kInspected, "--sass"});
  CHECK(result.exit_code == 3);
  CHECK(result.says("nvdisasm or cuobjdump"));
  CHECK(result.says(sandbox.path("home")));
}

TEST_CASE("cli: build tells where a kernel came from") {
  Sandbox sandbox;
  const CommandResult first = sandbox.run({"build", kInspected, "--json"});
  REQUIRE(first.exit_code == 0);
  CHECK(first.json().at("origin") == "compiled");
  CHECK(first.json().at("compiles") == 1);
  const CommandResult second = sandbox.run({"build", kInspected, "--json"});
  REQUIRE(second.exit_code == 0);
  CHECK(second.json().at("origin") == "disk");
  CHECK(second.json().at("compiles") == 0);
  CHECK(second.json().at("key") == first.json().at("key"));
  CHECK(second.json().at("cubin_sha256") == first.json().at("cubin_sha256"));
  CHECK(entry_files(sandbox.cache()).size() == 1);
}

TEST_CASE("cli: two processes with caches of their own make identical cubins") {
  Sandbox sandbox;
  const std::string files[] = {sandbox.path("a.cubin"), sandbox.path("b.cubin")};
  const std::string caches[] = {sandbox.path("cache-a"), sandbox.path("other/cache-b")};
  std::string keys[2];
  std::filesystem::create_directory(sandbox.path("other"));
  for (std::size_t i = 0; i < 2; ++i) {
    const CommandResult result = sandbox.run(
        {"build", kInspected, "--cache-dir", caches[i], "--output", files[i], "--json"});
    REQUIRE(result.exit_code == 0);
    CHECK(result.json().at("origin") == "compiled");
    keys[i] = result.json().at("key").get<std::string>();
  }
  CHECK(keys[0] == keys[1]);
  CHECK(!read_text(files[0]).empty());
  CHECK(read_text(files[0]) == read_text(files[1]));
  const auto a = entry_files(caches[0]);
  const auto b = entry_files(caches[1]);
  REQUIRE(a.size() == 1);
  REQUIRE(b.size() == 1);
  CHECK(read_text(a[0]) == read_text(b[0]));
}

TEST_CASE("cli: build works with a cache directory that cannot be used, and warns once") {
  Sandbox sandbox;
  write_text(sandbox.path("file"), "no directory");
  const CommandResult result =
      sandbox.run({"build", kInspected, "--cache-dir", sandbox.path("file/cache"), "--json"});
  CHECK(result.exit_code == 0);
  CHECK(result.json().at("origin") == "compiled");
  CHECK(result.json().at("publish_failures") == 1);
  CHECK(result.says("warning"));
  CHECK(result.err.find("warning") == result.err.rfind("warning"));
}
