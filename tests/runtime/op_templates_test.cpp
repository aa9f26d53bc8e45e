// Template files of operations from outside: what they may hold, and that faults are named with file and
// line.
#include <fourge/runtime.hpp>

#include "runtime/template_scanner.hpp"
#include "runtime/templates.hpp"
#include "tests/runtime/op_registry_support.hpp"

namespace fourge::tests {

TEST_CASE("a fault in a template file is named with file and line", "[op_registry]") {
  const Scratch scratch;
  const std::string root = scratch.path() + "/t";
  const std::string first = root + "/scaled_cast.cuh";
  write(root + "/sub/part.cuh", "#pragma once\n");
  write(scratch.path() + "/outside.cuh", "#pragma once\n");
  fs::create_symlink(scratch.path() + "/outside.cuh", root + "/link.cuh");
  const struct {
    ErrorKind kind;
    std::string text;
    std::string says;
  } cases[] = {
      {ErrorKind::io, "//\n#include \"no.cuh\"\n", ":2: includes \"no.cuh\": template file "},
      {ErrorKind::invalid_argument, "#include \"device/no.cuh\"",
       ":1: includes \"device/no.cuh\", and"},
      {ErrorKind::invalid_argument, "\n\n#include <cuda_fp8.h>\n", ":3: includes <...>"},
      {ErrorKind::invalid_argument, "#include \"../outside.cuh\"\n",
       ":1: includes \"../outside.cuh\"; a"},
      {ErrorKind::invalid_argument, "#include \"/etc/passwd\"\n",
       ":1: includes \"/etc/passwd\"; a"},
      {ErrorKind::invalid_argument, "#include \"link.cuh\"\n", "leads out of its directory"},
      {ErrorKind::io, "#include \"sub\"\n", "is no file"},
      {ErrorKind::invalid_argument, " # include \"sub/part.cuh\"\n", ":1: write an include as"},
      {ErrorKind::invalid_argument, "#include PART\n", ":1: write an include as"},
      {ErrorKind::invalid_argument, "#ifdef A\n#include \"sub/part.cuh\"\n#endif\n",
       ":2: includes"},
      {ErrorKind::invalid_argument, "/*\n#include \"sub/part.cuh\"\n*/\n",
       ":2: include inside of a"},
      {ErrorKind::invalid_argument, "/*\n#pragma once */\n", ":2: pragma inside of a comment"},
      {ErrorKind::invalid_argument, "#pragma once /* a\n*/\n", ":1: write #pragma once alone"},
      {ErrorKind::invalid_argument, "#include \"sub/part.cuh\" /* a\n*/\n", ":1: write an include"},
      {ErrorKind::invalid_argument, "#include \"sub/part.cuh\" // \\\n", ":1: write an include"},
      {ErrorKind::invalid_argument, "#include \\\n\"sub/part.cuh\"\n", ":1: write an include"},
      {ErrorKind::invalid_argument, "#inc\\\nlude \"sub/part.cuh\"\n", ":1: a directive's name"},
      {ErrorKind::invalid_argument, "# \\\ninclude \"sub/part.cuh\"\n", ":1: a directive's name"},
      {ErrorKind::invalid_argument, "%:include \"sub/part.cuh\"\n", ":1: write \"#\""},
      {ErrorKind::invalid_argument, "#embed \"x\"\n", ":1: #embed is not allowed"},
      {ErrorKind::invalid_argument, "int t[] = {sizeof(__TIME__)};\n", ":1: __TIME__ is not"},
      {ErrorKind::invalid_argument, "#if __has_include(\"x\")\n#endif\n", ":1: __has_include is"},
      {ErrorKind::invalid_argument, std::string("a\n\0b", 4), "zero byte"}};
  for (const auto& c : cases) {
    write(first, c.text);
    OpRegistry ops;
    INFO(c.text);
    const auto what = error_of(c.kind, [&] { ops.add(scaled_cast_op(), root); });
    INFO(what);
    CHECK(holds(what, c.says));
    CHECK((holds(what, first) || holds(what, root + "/link.cuh")));
  }
  write(first, "#include \"sub/part.cuh\"\n");
  write(root + "/sub/part.cuh", "int a;\n#import \"x\"\n");
  OpRegistry ops;
  CHECK(holds(error_of(ErrorKind::invalid_argument, [&] { ops.add(scaled_cast_op(), root); }),
              root + "/sub/part.cuh:2: #import"));
  CHECK(holds(error_of(ErrorKind::io, [&] { ops.add(scaled_cast_op(), root + "/none"); }),
              "template directory \""));
  CHECK(holds(
      error_of(ErrorKind::io, [&] { ops.add(scaled_cast_op(), std::span<const TemplateText>{}); }),
      "is not among those given"));
}

TEST_CASE("what a template file may hold", "[op_registry]") {
  const char* const kText =
      "// __DATE__ in a comment /* and this\n"
      "#pragma once\n"
      "#include \"device/types.cuh\"  // for uint32\n"
      "#include \"sub/part.cuh\"\r\n"
      "#if defined(FOURGE_HOST_EXECUTION)\n"
      "#define A \"/*\"\n"
      "#endif /* a\n"
      "comment */\n"
      "int x = 1'000; char c = '\"';\n"
      "#include \"last.cuh\"";
  const auto includes = scan_template(kText, "x.cuh");
  REQUIRE(includes.size() == 3);
  CHECK(includes[0].name == "device/types.cuh");
  CHECK(includes[1].name == "sub/part.cuh");
  CHECK(includes[1].line == 4);
  CHECK(includes[2].name == "last.cuh");
  CHECK(includes[2].line == 10);
  // fourge's own device files are held to the same.
  for (const auto& file : template_files()) {
    INFO(file.name);
    CHECK_NOTHROW(scan_template(file.text, std::string(file.name)));
  }
}

TEST_CASE("compilers name the template's file and line", "[op_registry]") {
  const Scratch scratch;
  const std::string directory = copied(scratch, "templates");
  std::string part =
      "#pragma once\n#include \"device/global_memory.cuh\"\n// 3\nnot_a_type x;  // 4\n";
  write(directory + "/scale_of_row.cuh", part);
  Options options = options_with(scratch, with_scaled_cast(directory));
  Runtime runtime(options);
  const auto spec = runtime.parse("scaled_cast@sm_90a");
  const auto log_of = [&](const auto& build) {
    try {
      build();
    } catch (const CompileError& error) {
      return error.log();
    }
    return std::string("compiled");
  };
  const auto device = log_of([&] { runtime.build(spec); });
  INFO(device);
  CHECK(holds(device, "scale_of_row.cuh(4): error"));
  CHECK_FALSE(holds(device, directory));
  const auto host = log_of([&] { runtime.prepare_host(spec); });
  INFO(host);
  CHECK(holds(host, "scale_of_row.cuh:4:"));
  CHECK(holds(generate_source(spec, options.ops), "#line 1 \"generated\"\nnamespace"));
  // The built-in ones have no such lines: their keys are what they were.
  CHECK_FALSE(holds(generate_source(KernelSpec::parse("row_amax@sm_90a")), "#line"));
}

}  // namespace fourge::tests
