// Planted violations: the checker has to find them.
#include "tests/layout/include_rules.hpp"

#include <string>

#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

bool allowed(const std::string& path, const std::string& what) {
  return check_includes(path, "#include " + what + "\n").empty();
}

}  // namespace

TEST_CASE("arrows that exist", "[layout]") {
  CHECK(allowed("tools/cmd_run.cpp", "\"runtime/driver/driver.hpp\""));
  CHECK(allowed("tools/cmd_run.cpp", "\"jit/nvrtc.hpp\""));
  CHECK(allowed("tools/cmd_run.cpp", "\"reference/nvfp4.hpp\""));
  CHECK(allowed("tools/main.cpp", "<CLI/CLI.hpp>"));
  CHECK(allowed("examples/quickstart/main.cpp", "<fourge/runtime.hpp>"));
  CHECK(allowed("runtime/runtime.cpp", "\"jit/nvrtc.hpp\""));
  CHECK(allowed("runtime/runtime.cpp", "\"cache/entry.hpp\""));
  CHECK(allowed("runtime/templates.cpp", "\"kernel_templates/embedded.hpp\""));
  CHECK(allowed("runtime/driver/driver.hpp", "<cuda.h>"));
  CHECK(allowed("jit/nvrtc.cpp", "<nvrtc.h>"));
  CHECK(allowed("jit/target.cpp", "<fourge/target.hpp>"));
  CHECK(allowed("cache/entry.cpp", "\"cache/digest.hpp\""));
  CHECK(allowed("cache/posix_file_system.cpp", "<sys/stat.h>"));
  CHECK(allowed("reference/nvfp4.cpp", "\"reference/ftz.hpp\""));
  CHECK(allowed("reference/nvfp4.cpp", "<vector>"));
  CHECK(allowed("runtime/include/fourge/runtime.hpp", "<fourge/kernel.hpp>"));
  CHECK(allowed("runtime/include/fourge/runtime.hpp", "<memory>"));
  CHECK(allowed("kernel_templates/nvfp4_quantize.cuh", "\"device/types.cuh\""));
  CHECK(allowed("tests/ops/x_test.cpp", "\"reference/nvfp4.hpp\""));
}

TEST_CASE("arrows that point up or across", "[layout]") {
  CHECK_FALSE(allowed("jit/nvrtc.cpp", "\"cache/entry.hpp\""));
  CHECK_FALSE(allowed("cache/entry.cpp", "\"jit/nvrtc.hpp\""));
  CHECK_FALSE(allowed("jit/nvrtc.cpp", "\"runtime/counters.hpp\""));
  CHECK_FALSE(allowed("cache/entry.cpp", "\"runtime/counters.hpp\""));
  CHECK_FALSE(allowed("jit/nvrtc.cpp", "\"kernel_templates/embedded.hpp\""));
  CHECK_FALSE(allowed("runtime/runtime.cpp", "\"tools/report.hpp\""));
  CHECK_FALSE(allowed("runtime/runtime.cpp", "\"reference/nvfp4.hpp\""));
  CHECK_FALSE(allowed("runtime/runtime.cpp", "\"tests/support/catch.hpp\""));
  CHECK_FALSE(allowed("reference/nvfp4.cpp", "\"jit/target.hpp\""));
  CHECK_FALSE(allowed("reference/nvfp4.cpp", "<fourge/error.hpp>"));
  CHECK_FALSE(allowed("examples/quickstart/main.cpp", "\"runtime/counters.hpp\""));
  CHECK_FALSE(allowed("runtime/include/fourge/runtime.hpp", "\"runtime/counters.hpp\""));
}

TEST_CASE("headers from outside that a module must not see", "[layout]") {
  CHECK_FALSE(allowed("cache/entry.cpp", "<cuda.h>"));
  CHECK_FALSE(allowed("cache/entry.cpp", "<nvrtc.h>"));
  CHECK_FALSE(allowed("jit/nvrtc.cpp", "<cuda.h>"));
  CHECK_FALSE(allowed("runtime/runtime.cpp", "<cuda.h>"));
  CHECK_FALSE(allowed("runtime/include/fourge/runtime.hpp", "<cuda.h>"));
  CHECK_FALSE(allowed("runtime/include/fourge/runtime.hpp", "<fmt/format.h>"));
  CHECK_FALSE(allowed("runtime/include/fourge/runtime.hpp", "<unistd.h>"));
  CHECK_FALSE(allowed("reference/nvfp4.cpp", "<fmt/format.h>"));
  CHECK_FALSE(allowed("kernel_templates/nvfp4_quantize.cuh", "<cuda_fp16.h>"));
  CHECK_FALSE(allowed("kernel_templates/nvfp4_quantize.cuh", "<cstdint>"));
  CHECK_FALSE(allowed("kernel_templates/device/bits.cuh", "\"nvfp4_quantize.cuh\""));
  CHECK_FALSE(allowed("runtime/runtime.cpp", "<CLI/CLI.hpp>"));
  CHECK_FALSE(allowed("tests/ops/x_test.cpp", "<catch2/catch.hpp>"));
}

TEST_CASE("internal includes are written from the root", "[layout]") {
  CHECK_FALSE(allowed("jit/nvrtc.cpp", "\"nvrtc.hpp\""));
  CHECK_FALSE(allowed("jit/nvrtc.cpp", "\"jit/../cache/entry.hpp\""));
  CHECK_FALSE(allowed("tests/jit/x_test.cpp", "\"jit_support.hpp\""));
}

TEST_CASE("an include is found however it is written", "[layout]") {
  const Violations found =
      check_includes("jit/a.cpp", "int a;\n  #  include\t\"cache/entry.hpp\"  // why\n");
  REQUIRE(found.size() == 1);
  CHECK(found[0].path == "jit/a.cpp");
  CHECK(found[0].line == 2);
  CHECK(check_includes("jit/a.cpp", "#include <cuda.h>").size() == 1);
  CHECK(check_includes("jit/a.cpp", "// #include <cuda.h>\n").empty());
  CHECK(check_includes("docs/a.md", "#include <cuda.h>\n").empty());
}

}  // namespace fourge::tests
