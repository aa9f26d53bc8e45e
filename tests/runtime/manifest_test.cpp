// Manifests: what is read, what is refused and with which line, what comes of it for a target.
#include <fourge/error.hpp>
#include <fourge/manifest.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

Target target(const char* text) { return Target::parse(text); }

std::vector<std::string> texts(const std::vector<ManifestKernel>& kernels) {
  std::vector<std::string> found;
  for (const ManifestKernel& kernel : kernels) {
    found.push_back(kernel.spec.text());
  }
  return found;
}

struct Refusal {
  ErrorKind kind = ErrorKind::internal;
  std::string message;
};

Refusal refusal_of(const std::string& json) {
  try {
    Manifest::parse(json, "fleet.json");
  } catch (const Error& error) {
    return {error.kind(), error.what()};
  }
  return {};
}

std::string with_specs(const std::string& specs) {
  return "{\n  \"fourge_manifest\": 1,\n  \"specs\": [\n    " + specs + "\n  ]\n}\n";
}

bool begins_with(const std::string& text, const std::string& begin) {
  return text.compare(0, begin.size(), begin) == 0;
}

}  // namespace

TEST_CASE("a manifest gives kernels with their fallback variants", "[manifest]") {
  const Manifest manifest = Manifest::parse(R"({
    "$schema": "https://example.com/manifest.schema.json",
    "fourge_manifest": 1, "comment": "the fleet",
    "targets": ["sm_90a", "sm_100a"],
    "specs": [
      "nvfp4_quantize[layout=128x4,tpc=4]",
      {"spec": "row_amax[tpr=512]", "targets": ["sm_90a"], "fallback": false},
      {"spec": "nvfp4_quantize[tpc=2]", "fallback": "nvfp4_quantize[tpc=4]", "comment": "x"},
      "nvfp4_quantize_per_token@sm_120a"
    ]
  })");
  CHECK(manifest.size() == 4);
  CHECK_FALSE(manifest.needs_target());
  CHECK(manifest.targets() ==
        std::vector<Target>{target("sm_90a"), target("sm_100a"), target("sm_120a")});
  const auto hopper = manifest.kernels(target("sm_90a"));
  REQUIRE(hopper.size() == 3);
  CHECK(hopper[0].spec.get("tpc") == "4");
  CHECK(hopper[0].spec.target() == target("sm_90a"));
  REQUIRE(hopper[0].fallback);
  CHECK(hopper[0].fallback->get("tpc") == "1");
  CHECK(hopper[0].fallback->get("layout") == "128x4");
  CHECK(hopper[0].fallback->target() == target("sm_90a"));
  CHECK(hopper[0].line == 6);
  CHECK_FALSE(hopper[1].fallback);
  CHECK(hopper[1].line == 7);
  REQUIRE(hopper[2].fallback);
  CHECK(hopper[2].fallback->get("tpc") == "4");
  CHECK(manifest.kernels(target("sm_100a")).size() == 2);
  const auto other = manifest.kernels(target("sm_120a"));
  REQUIRE(other.size() == 1);
  REQUIRE(other[0].fallback);
  CHECK(other[0].fallback->get("row") == "looped");
  CHECK(manifest.kernels(target("sm_80")).empty());
  CHECK(manifest.kernels().size() == 6);
}

TEST_CASE("a manifest without targets is for any", "[manifest]") {
  const Manifest manifest = Manifest::parse(with_specs("\"nvfp4_quantize\""));
  CHECK(manifest.needs_target());
  CHECK(manifest.targets().empty());
  CHECK(manifest.kernels().empty());
  CHECK(manifest.kernels(target("sm_90a")).size() == 1);
  CHECK(manifest.kernels({target("sm_90a"), target("sm_100a")}).size() == 2);
}

TEST_CASE("a manifest takes what not every target has", "[manifest]") {
  const Manifest manifest = Manifest::parse(
      R"({"fourge_manifest": 1, "targets": ["sm_90a"], "specs": ["nvfp4_quantize_per_token[row=cluster]"]})");
  CHECK(manifest.kernels().size() >= 1);
  const Manifest any = Manifest::parse(with_specs("\"nvfp4_quantize_per_token[row=cluster]\""));
  CHECK(any.kernels(target("sm_90a")).size() >= 1);
  CHECK_THROWS_AS(Manifest::parse(R"({"fourge_manifest": 1, "targets": ["sm_80"],
      "specs": ["nvfp4_quantize_per_token[row=cluster]"]})"),
                  Error);
  Manifest own;
  own.add(KernelSpec::parse("nvfp4_quantize_per_token[row=cluster]@sm_90a"));
  CHECK(texts(Manifest::parse(own.text()).kernels()) == texts(own.kernels()));
}

TEST_CASE("a manifest's text parses back to the same", "[manifest]") {
  const std::string json = R"({"fourge_manifest": 1, "targets": ["sm_90a"], "specs": [
      "nvfp4_quantize[tpc=4]", {"spec": "row_amax", "fallback": false},
      {"spec": "nvfp4_quantize[tpc=2]", "fallback": "nvfp4_quantize[tpc=4]"}, "moe_permute@sm_100a"]})";
  Manifest manifest = Manifest::parse(json);
  const std::string text = manifest.text();
  const Manifest again = Manifest::parse(text);
  CHECK(again.text() == text);
  CHECK(texts(again.kernels()) == texts(manifest.kernels()));
  CHECK(again.targets() == manifest.targets());
  const KernelSpec added = KernelSpec::parse("mxfp8_quantize@sm_90a");
  manifest.add(added);
  manifest.add(added);
  CHECK(manifest.size() == 5);
  CHECK(texts(Manifest::parse(manifest.text()).kernels()) == texts(manifest.kernels()));
}

TEST_CASE("what is no manifest is refused with line and field", "[manifest]") {
  struct Case {
    std::string json;
    std::string begin;  // of the message
    std::string part;
    ErrorKind kind;
  };
  constexpr auto kArgument = ErrorKind::invalid_argument;
  constexpr auto kSpec = ErrorKind::invalid_spec;
  const std::vector<Case> cases{
      {"", "fleet.json:1: ", "", kArgument},  // in the library's words, which changed
      {"{\n\"fourge_manifest\": 1,\n  oops}", "fleet.json:3: ", "syntax error", kArgument},
      {"{\"fourge_manifest\": 1}\n\nx", "fleet.json:3: ", "syntax error", kArgument},
      {"[]", "fleet.json:1: expected an object, found an array", "", kArgument},
      {"{}", "fleet.json:1: \"fourge_manifest\": 1 is missing", "", kArgument},
      {"{\n\"fourge_manifest\":\n2\n,\"specs\":[]}", "fleet.json:3: fourge_manifest: version 2", "",
       kArgument},
      {"{\"fourge_manifest\": \"1\"}", "fleet.json:1: fourge_manifest: expected a number", "",
       kArgument},
      {"{\"fourge_manifest\": 1}", "fleet.json:1: \"specs\" is missing", "", kArgument},
      {"{\"fourge_manifest\": 1,\n\"spec\": []}", "fleet.json:2: unknown field \"spec\"",
       "known: ", kArgument},
      {"{\"fourge_manifest\": 1,\n\"specs\": [],\n\"specs\": []}",
       "fleet.json:3: \"specs\" is there twice", "", kArgument},
      {"{\"fourge_manifest\": 1, \"specs\": {}}", "fleet.json:1: specs: expected an array", "",
       kArgument},
      {"{\"fourge_manifest\": 1, \"comment\": 1, \"specs\": []}", "fleet.json:1: comment: expected",
       "", kArgument},
      {"{\"fourge_manifest\": 1,\n\"targets\": [\"sm_90a\",\n\"sm_91\"], \"specs\": []}",
       "fleet.json:3: targets[1]: ", "sm_91", kSpec},
      {"{\"fourge_manifest\": 1, \"targets\": [\"sm_90a\", \"sm_90a\"], \"specs\": []}",
       "fleet.json:1: targets[1]: sm_90a is there twice", "", kArgument},
      {"{\"fourge_manifest\": 1, \"targets\": [], \"specs\": []}",
       "fleet.json:1: targets: it is empty", "", kArgument},
      {with_specs("\"nvfp4_quantize\",\n 7"), "fleet.json:5: specs[1]: expected a spec", "",
       kArgument},
      {with_specs("\"nvfp4_quantise\""), "fleet.json:4: specs[0]: ", "nvfp4_quantise", kSpec},
      {with_specs("{\"spec\": \"nvfp4_quantize[in=f8]\"}"), "fleet.json:4: specs[0].spec: ", "f8",
       kSpec},
      {with_specs("{\"fallback\": false}"), "fleet.json:4: specs[0]: \"spec\" is missing", "",
       kArgument},
      {with_specs("{\"spec\": \"row_amax\",\n \"target\": [\"sm_90a\"]}"),
       "fleet.json:5: specs[0]: unknown field \"target\"", "", kArgument},
      {with_specs("{\"spec\": \"row_amax@sm_90a\",\n \"targets\": [\"sm_90a\"]}"),
       "fleet.json:5: specs[0].targets: the spec names a target", "", kArgument},
      {with_specs("{\"spec\": \"row_amax\", \"fallback\": true}"),
       "fleet.json:4: specs[0].fallback: expected a spec or false", "", kArgument},
      {with_specs("{\"spec\": \"row_amax\", \"fallback\": \"row_amax@sm_90a\"}"),
       "fleet.json:4: specs[0].fallback: a fallback has", "", kArgument},
      {with_specs("{\"spec\": \"row_amax\", \"fallback\": \"nvfp4_quantize\"}"),
       "fleet.json:4: specs[0].fallback: ", "has other results", kSpec},
      {with_specs("{\"spec\": \"nvfp4_quantize\", \"fallback\": \"nvfp4_quantize[in=f16]\"}"),
       "fleet.json:4: specs[0].fallback: ", "has other results", kSpec},
      {with_specs("\"row_amax\",\n\n\"row_amax[tpr=128]\""),
       "fleet.json:6: specs[1]: ", "is there twice; the first time on line 4", kArgument},
      {with_specs("\"row_amax@sm_90a\",\n\"row_amax\""),
       "fleet.json:5: specs[1]: ", "is there twice", kArgument},
      {std::string(40, '[') + std::string(40, ']'), "fleet.json:1: nested deeper than 16", "",
       kArgument},
  };
  for (const Case& some : cases) {
    const Refusal refusal = refusal_of(some.json);
    INFO(some.json << "\n" << refusal.message);
    CHECK(refusal.kind == some.kind);
    CHECK(begins_with(refusal.message, some.begin));
    CHECK(refusal.message.find(some.part) != std::string::npos);
  }
}

TEST_CASE("every spec's fallback has the same results and falls back on itself", "[manifest]") {
  std::size_t general = 0;
  for (const OpDefinition* op : all_ops()) {
    for (const KernelSpec& spec : legal_variants(*op, target("sm_90a"))) {
      const KernelSpec fallback = spec.fallback();
      REQUIRE(op->refusal(fallback).empty());
      REQUIRE(fallback.same_results(spec));
      REQUIRE(fallback.fallback() == fallback);
      REQUIRE(fallback.target() == spec.target());
      general += fallback == spec ? 0U : 1U;
    }
    for (const Axis& axis : op->axes) {
      // What an axis says of itself and what is done with it agree.
      INFO(op->name << " " << axis.name);
      const bool same = axis.summary.find("same bits") != std::string_view::npos;
      CHECK(same == !axis.general.empty());
      CHECK((axis.general.empty() ||
             std::any_of(axis.values.begin(), axis.values.end(),
                         [&](const AxisValue& value) { return value.text == axis.general; })));
    }
  }
  CHECK(general > 100);
  const auto spec = KernelSpec::parse("nvfp4_quantize@sm_90a");
  CHECK_FALSE(spec.same_results(spec.with_target(target("sm_100a"))));
  CHECK_FALSE(spec.same_results(KernelSpec::parse("nvfp4_quantize[in=f16]@sm_90a")));
}

TEST_CASE("a manifest file that cannot be read", "[manifest]") {
  const Scratch scratch;
  const std::string path = scratch.path() + "/manifest.json";
  const auto kind_of = [](const std::string& name) {
    try {
      Manifest::load(name);
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::internal;
  };
  CHECK(kind_of(path) == ErrorKind::io);
  CHECK(kind_of(scratch.path()) == ErrorKind::io);
  std::ofstream(path) << with_specs("\"row_amax\"");
  CHECK(Manifest::load(path).size() == 1);
  std::filesystem::resize_file(path, (16U << 20U) + 1);
  CHECK(kind_of(path) == ErrorKind::invalid_argument);
}

}  // namespace fourge::tests
