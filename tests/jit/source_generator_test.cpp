#include "jit/source_generator.hpp"

#include <fourge/error.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/op_definition.hpp>

#include "tests/jit/jit_support.hpp"
#include "tests/support/catch.hpp"

#include <set>

using fourge::KernelSpec;
using fourge::Target;
using fourge::tests::templates;

namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++n;
  }
  return n;
}

}  // namespace

TEST_CASE("a generated source is hermetic and holds each device file once", "[source]") {
  const KernelSpec spec = KernelSpec::parse("nvfp4_quantize[layout=8x4,tpc=2]@sm_90a");
  const std::string source = fourge::jit::generate(spec, templates());
  CHECK(count(source, "#include") == 0);
  CHECK(count(source, "#pragma once") == 0);
  CHECK(count(source, "// ==== device/types.cuh\n") == 1);
  CHECK(count(source, "// ==== nvfp4_quantize.cuh\n") == 1);
  CHECK(source.find("// ==== device/types.cuh") < source.find("// ==== device/e2m1.cuh"));
  CHECK(count(source, "extern \"C\"") == 1);
  CHECK(count(source, spec.entry_name()) == 1);
  CHECK(count(source, "kTokensPerCta() { return 2; }") == 1);
  CHECK(count(source, "kLayout() { return fourge_device::ScaleLayout::tiled_8x4; }") == 1);
  CHECK(source.rfind("// " + spec.text() + "\n", 0) == 0);
}

TEST_CASE("no kernel reads memory before it waits for its predecessor", "[source]") {
  for (const fourge::OpDefinition* op : fourge::all_ops()) {
    CAPTURE(op->name);
    const auto variants = fourge::legal_variants(*op, Target::parse("sm_90a"));
    const std::string source = fourge::jit::generate(variants.front(), templates());
    const auto kernel = source.find(std::string(op->entry_function) + "(");
    REQUIRE(kernel != std::string::npos);
    // With or without a branch of its own.
    const auto wait = source.find("wait_for_predecessor<Config", kernel);
    if (wait == std::string::npos) {
      // The kernel calls one that does, and reads nothing itself.
      REQUIRE(count(source, "wait_for_predecessor<Config") > 0);
      continue;
    }
    const std::string before = source.substr(kernel, wait - kernel);
    CHECK(count(before, "load(") == 0);
    CHECK(count(before, "load_words") == 0);
  }
}

TEST_CASE("every variant has its own source", "[source]") {
  std::set<std::size_t> sources;  // hashes: the texts would take hundreds of megabytes
  std::size_t variants = 0;
  for (const Target& target : Target::all()) {
    for (const auto& spec : fourge::legal_variants(fourge::nvfp4_quantize_op(), target)) {
      sources.insert(std::hash<std::string>{}(fourge::jit::generate(spec, templates())));
      ++variants;
    }
  }
  CHECK(sources.size() == variants);
}

TEST_CASE("options name the real target and bear no path", "[source]") {
  const auto options = fourge::jit::nvrtc_options(Target::parse("sm_120a"));
  const std::set<std::string> set(options.begin(), options.end());
  CHECK(options.front() == "--gpu-architecture=sm_120a");
  for (const char* needed : {"--ftz=true", "--fmad=false", "--no-cache", "--frandom-seed=fourge"}) {
    CHECK(set.count(needed) == 1);
  }
  for (const auto& option : options) {
    CHECK(option.find('/') == std::string::npos);
    CHECK(option.find("-I") == std::string::npos);
  }
}

TEST_CASE("a missing template file is an error that names it", "[source]") {
  const fourge::jit::TemplateFile only[] = {
      {"nvfp4_quantize.cuh", "#include \"device/absent.cuh\"\n"}};
  try {
    fourge::jit::generate(KernelSpec::parse("nvfp4_quantize@sm_90a"), only);
    FAIL("accepted");
  } catch (const fourge::Error& error) {
    CHECK(std::string(error.what()).find("device/absent.cuh") != std::string::npos);
  }
}

TEST_CASE("a template without a final line break is pasted whole", "[source]") {
  const fourge::jit::TemplateFile only[] = {{"nvfp4_quantize.cuh", "int a;\nint last;"}};
  const auto source = fourge::jit::generate(KernelSpec::parse("nvfp4_quantize@sm_90a"), only);
  CHECK(source.find("int a;\nint last;\n") != std::string::npos);
}
