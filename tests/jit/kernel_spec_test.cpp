#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/nvfp4_quantize.hpp>

#include "tests/support/catch.hpp"

#include <set>

using fourge::Error;
using fourge::KernelSpec;
using fourge::Target;

namespace {

constexpr const char* kDefault =
    "nvfp4_quantize[in=bf16,layout=linear,scale=tensor,math=exact,tpc=1,4over6=off]"
    "@sm_90a";

std::string message_of(const std::string& text) {
  try {
    KernelSpec::parse(text);
  } catch (const Error& error) {
    CHECK(error.kind() == fourge::ErrorKind::invalid_spec);
    return error.what();
  }
  return "accepted";
}

bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("canonical text parses back for every variant of every target", "[spec]") {
  std::set<std::string> texts;
  std::set<std::string> names;
  std::set<std::string> newest;
  for (const auto* op : fourge::all_ops()) {
    for (const Target& target : Target::all()) {
      for (const KernelSpec& spec : fourge::legal_variants(*op, target)) {
        CHECK(KernelSpec::parse(spec.text()) == spec);
        CHECK(texts.insert(spec.text()).second);
        names.insert(spec.entry_name());
        if (target == Target::parse("sm_120a")) {
          newest.insert(spec.entry_name());
        }
      }
    }
  }
  // Names do not depend on the target, and what an older one has, a newer one has.
  CHECK(names == newest);
  CHECK(texts.size() <= names.size() * Target::all().size());
  CHECK(names.size() > 36);
}

TEST_CASE("axes may come in any order, and defaults may be left out", "[spec]") {
  CHECK(KernelSpec::parse("nvfp4_quantize@sm_90a").text() == kDefault);
  CHECK(KernelSpec::parse("nvfp4_quantize[]@sm_90a").text() == kDefault);
  CHECK(KernelSpec::parse(" nvfp4_quantize [ tpc = 2 , in=f16 ] @ sm_80 ").text() ==
        "nvfp4_quantize[in=f16,layout=linear,scale=tensor,math=exact,tpc=2,4over6=off]@sm_80");
  CHECK(KernelSpec::parse("nvfp4_quantize", Target::parse("sm_90a")).text() == kDefault);
  CHECK(KernelSpec::parse("nvfp4_quantize@sm_89", Target::parse("sm_90a")).target().text() ==
        "sm_89");
}

TEST_CASE("bad specs are refused by name", "[spec]") {
  CHECK(mentions(message_of("nvfp5_quantize@sm_90a"), "unknown op \"nvfp5_quantize\""));
  CHECK(mentions(message_of("nvfp5_quantize@sm_90a"), "known ops: nvfp4_quantize"));
  CHECK(mentions(message_of("nvfp4_quantize[shape=3]@sm_90a"), "no axis \"shape\""));
  CHECK(mentions(message_of("nvfp4_quantize[shape=3]@sm_90a"),
                 "in, layout, scale, math, tpc, 4over6"));
  CHECK(mentions(message_of("nvfp4_quantize[in=fp8]@sm_90a"), "no value \"fp8\""));
  CHECK(mentions(message_of("nvfp4_quantize[in=fp8]@sm_90a"), "bf16, f16, e4m3"));
  CHECK(mentions(message_of("nvfp4_quantize[tpc=3]@sm_90a"), "1, 2, 4"));
  CHECK(mentions(message_of("nvfp4_quantize[in=bf16,in=f16]@sm_90a"), "given twice"));
  CHECK(mentions(message_of("nvfp4_quantize"), "names no target"));
  CHECK(mentions(message_of("nvfp4_quantize@sm_91"), "unknown target \"sm_91\""));
  for (const char* text :
       {"", "@", "[", "]", "nvfp4_quantize[@sm_90a", "nvfp4_quantize[in=bf16@sm_90a",
        "nvfp4_quantize[in]@sm_90a", "nvfp4_quantize[in=bf16,]@sm_90a", "nvfp4_quantize]@sm_90a",
        "nvfp4_quantize[in=bf16]x@sm_90a", "nvfp4_quantize[,]@sm_90a"}) {
    INFO(text);
    CHECK(message_of(text) != "accepted");
  }
}

TEST_CASE("equal specs hash alike, different ones hardly ever", "[spec]") {
  std::set<std::size_t> hashes;
  std::size_t count = 0;
  for (const Target& target : Target::all()) {
    for (const KernelSpec& spec : fourge::legal_variants(fourge::nvfp4_quantize_op(), target)) {
      CHECK(KernelSpec::parse(spec.text()).hash() == spec.hash());
      hashes.insert(spec.hash());
      ++count;
    }
  }
  CHECK(hashes.size() == count);
}
