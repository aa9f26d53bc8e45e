#include <array>
#include <cstring>
#include <filesystem>
#include <span>

#include "reference/nvfp4.hpp"
#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"
#include "tools/npy.hpp"

using namespace fourge::tests;
namespace reference = fourge::reference;
namespace tools = fourge::tools;

namespace {

// One for all tests here: compiling for the host takes a while.
Sandbox& shared() {
  static Sandbox sandbox;
  return sandbox;
}

std::string npy_text(const std::string& dtype, std::span<const std::int64_t> shape,
                     const void* data, std::size_t bytes) {
  return tools::npy_header_bytes(dtype, shape) + std::string(static_cast<const char*>(data), bytes);
}

struct Tensor {
  std::int64_t rows;
  std::int64_t cols;
  std::vector<std::uint16_t> x;
};

Tensor make_tensor(std::int64_t rows, std::int64_t cols, reference::ElementType type) {
  return {rows, cols, make_input(Pattern::random, type, rows, cols, 11)};
}

std::string save(const Tensor& tensor, const std::string& name, const std::string& dtype = "<u2") {
  const std::int64_t shape[] = {tensor.rows, tensor.cols};
  const std::string path = shared().path(name);
  write_text(path, npy_text(dtype, shape, tensor.x.data(), tensor.x.size() * 2));
  return path;
}

std::vector<std::uint8_t> bytes_of(const tools::NpyArray& array) {
  const auto bytes = array.data.as<std::uint8_t>();
  return {bytes.begin(), bytes.end()};
}

reference::Nvfp4Output expected(const Tensor& tensor, reference::ElementType type, float scale,
                                reference::ScaleLayout layout) {
  reference::Nvfp4Problem problem;
  problem.x = tensor.x;
  problem.type = type;
  problem.rows = tensor.rows;
  problem.cols = tensor.cols;
  problem.global_scale = scale;
  problem.layout = layout;
  return reference::quantize_nvfp4(problem);
}

std::vector<std::string> run_arguments(const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"run", "nvfp4_quantize", "--device", "host"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

TEST_CASE("cli: run quantizes a file into files") {
  const Tensor tensor = make_tensor(17, 208, reference::ElementType::bf16);
  const std::string codes = shared().path("output/q.npy");
  const std::string scales = shared().path("output/sf.npy");
  const CommandResult result = shared().run(
      run_arguments({"--input", save(tensor, "x.npy"), "--dtype", "bf16", "--layout", "128x4",
                     "--global-scale", "448", "--output", codes, "--scales", scales, "--json"}));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const auto want =
      expected(tensor, reference::ElementType::bf16, 448.0F, reference::ScaleLayout::tiled_128x4);
  const tools::NpyArray q = tools::read_npy(codes);
  CHECK(q.header.dtype == "|u1");
  CHECK(q.header.shape == std::vector<std::int64_t>{17, 104});
  CHECK(bytes_of(q) == want.codes);
  const tools::NpyArray sf = tools::read_npy(scales);
  CHECK(sf.header.shape ==
        std::vector<std::int64_t>{static_cast<std::int64_t>(want.scales.size())});
  CHECK(bytes_of(sf) == want.scales);
  const auto report = result.json();
  CHECK(report.at("device") == "host");
  CHECK(report.at("global_scale") == 448.0);
  CHECK(report.at("global_scale_given") == true);
  CHECK(report.at("spec") ==
        "nvfp4_quantize[in=bf16,layout=128x4,scale=tensor,math=exact,tpc=1,4over6=off]@sm_90a");
  CHECK(report.at("kernel").at("launch_ms").size() == 1);
  // Nothing but the two files, and with the mode of any other file.
  CHECK(names_in(shared().path("output")) == std::vector<std::string>{"q.npy", "sf.npy"});
  CHECK((std::filesystem::status(codes).permissions() & std::filesystem::perms::owner_read) !=
        std::filesystem::perms::none);
}

TEST_CASE("cli: run takes float16 files, a spec, and works out the global scale") {
  const Tensor tensor = make_tensor(3, 64, reference::ElementType::f16);
  const std::string scales = shared().path("f16-scales.npy");
  const CommandResult result = shared().run(
      {"run", "--spec", "nvfp4_quantize[in=f16,layout=linear]", "--device", "host", "--input",
       save(tensor, "f16.npy", "<f2"), "--scales", scales, "--verify", "--repeat", "3", "--json"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const float scale = te_global_scale(tensor.x, reference::ElementType::f16);
  CHECK(result.json().at("global_scale").get<float>() == scale);
  CHECK(result.json().at("global_scale_given") == false);
  CHECK(result.json().at("kernel").at("launch_ms").size() == 3);
  CHECK(result.json().at("verification").at("ok") == true);
  CHECK(result.json().at("verification").at("blocks") == 12);
  const tools::NpyArray sf = tools::read_npy(scales);
  CHECK(sf.header.shape == std::vector<std::int64_t>{3, 4});
  CHECK(
      bytes_of(sf) ==
      expected(tensor, reference::ElementType::f16, scale, reference::ScaleLayout::linear).scales);
}

TEST_CASE("cli: run on random data verifies, is repeatable and tells about the cache") {
  const std::vector<std::string> arguments =
      run_arguments({"--shape", "17x208", "--layout", "128x4", "--math", "fast", "--verify"});
  const CommandResult first = shared().run(arguments);
  INFO(first.err);
  CHECK(first.exit_code == 0);
  CHECK(first.out.find("host execution") != std::string::npos);
  CHECK(first.out.find("compiled") != std::string::npos);
  CHECK(first.out.find("equal to the reference") != std::string::npos);
  const CommandResult second = shared().run(arguments);
  CHECK(second.exit_code == 0);
  CHECK(second.out.find("from the disk cache") != std::string::npos);

  std::string outputs[3];
  for (std::size_t i = 0; i < 3; ++i) {
    const std::string file = shared().path("random-" + std::to_string(i) + ".npy");
    REQUIRE(shared()
                .run(run_arguments({"--shape", "17x208", "--layout", "128x4", "--seed",
                                    i == 2 ? "9" : "8", "--output", file}))
                .exit_code == 0);
    outputs[i] = read_text(file);
  }
  CHECK(outputs[0] == outputs[1]);
  CHECK(outputs[0] != outputs[2]);
}

TEST_CASE("cli: run with zero rows writes empty arrays") {
  const std::string codes = shared().path("empty.npy");
  const CommandResult result =
      shared().run(run_arguments({"--shape", "0x32", "--layout", "128x4", "--global-scale", "1",
                                  "--output", codes, "--verify"}));
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(tools::read_npy(codes).header.shape == std::vector<std::int64_t>{0, 16});
}

TEST_CASE("cli: run refuses bad input by name and leaves no file") {
  const Tensor tensor = make_tensor(3, 64, reference::ElementType::bf16);
  const std::string good = save(tensor, "good.npy");
  const std::int64_t odd_shape[] = {3, 24};
  const std::int64_t flat_shape[] = {96};
  write_text(shared().path("odd.npy"), npy_text("<u2", odd_shape, tensor.x.data(), 144));
  write_text(shared().path("flat.npy"), npy_text("<u2", flat_shape, tensor.x.data(), 192));
  write_text(shared().path("float.npy"), npy_text("<f4", flat_shape, tensor.x.data(), 384));
  write_text(shared().path("cut.npy"), read_text(good).substr(0, 300));
  write_text(shared().path("text.npy"), "1, 2, 3");
  std::string fortran = read_text(good);
  fortran.replace(fortran.find("False, "), 7, "True,  ");
  write_text(shared().path("fortran.npy"), fortran);

  struct Case {
    std::vector<std::string> arguments;
    std::string message;
  };
  const auto input = [](const char* name) {
    return std::vector<std::string>{"--input", shared().path(name), "--dtype", "bf16"};
  };
  const Case cases[] = {
      {input("odd.npy"), "24"},
      {input("flat.npy"), "(96,)"},
      {input("float.npy"), "'<f4'"},
      {input("cut.npy"), "truncated"},
      {input("text.npy"), "not a .npy file"},
      {input("fortran.npy"), "Fortran order"},
      {input("missing.npy"), "missing.npy"},
      {{"--shape", "3x24"}, "24"},
      {{"--shape", "3"}, "ROWSxCOLS"},
      {{"--shape", "-3x32"}, "-3"},
      {{"--shape", "9223372036854775807x64"}, "2^47"},
      {{"--shape", "3x64", "--input", good}, "--input"},
      {{}, "no input"},
      {{"--shape", "3x64", "--dtype", "f32"}, "f32"},
      {{"--shape", "3x64", "--layout", "4x4"}, "4x4"},
      {{"--shape", "3x64", "--math", "sloppy"}, "sloppy"},
      {{"--shape", "3x64", "--tpc", "3"}, "\"3\""},
      {{"--shape", "3x64", "--target", "sm_42"}, "sm_42"},
      {{"--shape", "3x64", "--global-scale", "0"}, "global_scale"},
      {{"--shape", "3x64", "--global-scale", "-448"}, "-448"},
      {{"--shape", "3x64", "--global-scale", "nan"}, "nan"},
      {{"--shape", "3x64", "--global-scale", "inf"}, "inf"},
      {{"--shape", "3x64", "--global-scale", "much"}, "much"},
      {{"--shape", "3x64", "--repeat", "0"}, "--repeat"},
  };
  const std::string codes = shared().path("output/never.npy");
  for (const Case& one : cases) {
    auto arguments = run_arguments(one.arguments);
    arguments.insert(arguments.end(), {"--output", codes});
    const CommandResult result = shared().run(arguments);
    INFO("expected " << one.message << " in: " << result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.says(one.message));
  }
  for (const std::string& name : names_in(shared().path("output"))) {
    CHECK(name.find("never") == std::string::npos);
  }
}

TEST_CASE("cli: run writes both outputs or none") {
  const std::string codes = shared().path("output/half.npy");
  const CommandResult missing = shared().run(run_arguments(
      {"--shape", "3x64", "--output", codes, "--scales", shared().path("nowhere/sf.npy")}));
  CHECK(missing.exit_code == 2);
  CHECK(missing.says("nowhere/sf.npy"));
  const CommandResult same =
      shared().run(run_arguments({"--shape", "3x64", "--output", codes, "--scales", codes}));
  CHECK(same.exit_code == 2);
  const CommandResult directory =
      shared().run(run_arguments({"--shape", "3x64", "--output", shared().path("output")}));
  CHECK(directory.exit_code == 2);
  for (const std::string& name : names_in(shared().path("output"))) {
    CHECK(name.find("half") == std::string::npos);
    CHECK(name.find(".tmp") == std::string::npos);
  }
}

TEST_CASE("cli: run on a device that is not there exits with 3") {
  const CommandResult result =
      shared().run({"run", "nvfp4_quantize", "--shape", "3x64", "--device", "1000000", "--json"});
  CHECK(result.exit_code == 3);
  CHECK(result.json().at("error").at("kind") == "unsupported");
  CHECK(result.says("1000000"));
}

TEST_CASE("cli: a wrong kernel is found by --verify: exit code 1, nothing written") {
  Sandbox sandbox;
  // A compiler that makes the kernel use another scale layout than the one asked for.
  const std::string compiler = sandbox.path("miscompiler");
  write_text(compiler,
             "#!/bin/sh\n"
             "for argument in \"$@\"; do\n"
             "  case \"$argument\" in\n"
             "    *.cpp) sed -i '/auto kLayout() /s/tiled_8x4/linear/' \"$argument\" ;;\n"
             "  esac\n"
             "done\n"
             "exec c++ \"$@\"\n");
  std::filesystem::permissions(compiler, std::filesystem::perms::owner_all);
  sandbox.set_variable("FOURGE_HOST_CXX", compiler);
  const CommandResult result =
      sandbox.run({"run", "nvfp4_quantize", "--device", "host", "--shape", "9x64", "--layout",
                   "8x4", "--verify", "--output", sandbox.path("output/q.npy"), "--json"});
  INFO(result.err);
  CHECK(result.exit_code == 1);
  const auto verification = result.json().at("verification");
  CHECK(verification.at("ok") == false);
  CHECK(verification.at("scale_differences") > 0);
  CHECK(!verification.at("first").get<std::string>().empty());
  CHECK(names_in(sandbox.path("output")).empty());
}

TEST_CASE("cli: run without a host compiler exits with 3 and says so") {
  Sandbox sandbox;
  sandbox.set_variable("FOURGE_HOST_CXX", sandbox.path("no-compiler"));
  const CommandResult result =
      sandbox.run({"run", "nvfp4_quantize", "--device", "host", "--shape", "1x16"});
  CHECK(result.exit_code == 3);
  CHECK(result.says("no-compiler"));
}

TEST_CASE("cli: run takes other operations on random data, the same for the same seed") {
  const auto run = [](const std::string& op, const std::string& seed) {
    return shared().run(
        {"run", op, "--device", "host", "--shape", "3x128", "--seed", seed, "--json"});
  };
  for (const char* op : {"mxfp4_quantize", "scale_interleave", "nvfp4_dequantize[scale=row]"}) {
    const CommandResult first = run(op, "1");
    INFO(op << ": " << first.err);
    REQUIRE(first.exit_code == 0);
    CHECK(first.json().at("device_kind") == "host");
    const auto outputs = first.json().at("outputs");
    CHECK(outputs.size() >= 1);
    CHECK(run(op, "1").json().at("outputs") == outputs);
    CHECK_FALSE(run(op, "2").json().at("outputs") == outputs);
  }
  const CommandResult verify =
      shared().run({"run", "mxfp4_quantize", "--device", "host", "--shape", "3x128", "--verify"});
  CHECK(verify.exit_code == 2);
  CHECK(verify.says("--verify"));
  const CommandResult permute =
      shared().run({"run", "moe_permute", "--device", "host", "--shape", "3x128"});
  CHECK(permute.exit_code == 2);
  CHECK(permute.says("parameter tokens"));
}
