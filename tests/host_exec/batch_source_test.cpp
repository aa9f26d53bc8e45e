// The translation unit of a batch: device code that sources have in common is there once, and each variant is its own.
#include "runtime/host/batch_source.hpp"

#include "jit/source_generator.hpp"
#include "tests/host_exec/host_test.hpp"
#include "tests/jit/jit_support.hpp"

namespace fourge::tests {
namespace {

std::size_t count_of(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

// As the generator writes them: a comment, what is common, what is the variant's own.
host::RawSource variant(const std::string& entry, const std::string& operation, int addend) {
  const auto device = [&](const std::string& body) {
    return "\nnamespace fourge_device { template <class C> __device__ void run(int* p) {\n" + body +
           "} }\n";
  };
  return {entry,
          "// " + entry + "\n" +
              with_primitives(device("store(p, load(p) " + operation + " C::kValue);\n")) +
              "\nnamespace fourge_generated {\nstruct Config { static constexpr int kValue = " +
              std::to_string(addend) + "; };\n}\nextern \"C\" __global__ void " + entry +
              "(int* p) { fourge_device::run<fourge_generated::Config>(p); }\n",
          {}};
}

std::string unit_of(const std::vector<host::RawSource>& sources) {
  std::vector<host::BatchPiece> pieces;
  for (const auto& source : sources) {
    pieces.push_back({"key" + std::to_string(pieces.size()), source.entry_name, source.source});
  }
  return host::batch_source(pieces);
}

}  // namespace

TEST_CASE("a batch: common device code once, variants apart, in any order") {
  // Two operations in turns, entries of one name, and a source that is nothing of the kind.
  const std::vector<host::RawSource> sources{
      variant("one", "+", 1), variant("two", "*", 2), variant("one", "+", 3),
      variant("four", "*", 4),
      kernel_source("five", "extern \"C\" __global__ void five(int* p) { store(p, 5); }\n")};
  const std::string unit = unit_of(sources);
  CHECK(count_of(unit, "store(p, load(p) + C::kValue)") == 1);
  CHECK(count_of(unit, "store(p, load(p) * C::kValue)") == 1);
  CHECK(count_of(unit, "struct Config {") == 4);

  TemporaryDirectory directory;
  host::HostOptions options;
  options.cache_directory = directory.path();
  options.threads = 1;
  host::HostExecutor executor(options);
  const auto functions = executor.load(sources);
  REQUIRE(functions.size() == 5);
  const int expected[] = {1001, 2000, 1003, 4000, 5};
  for (std::size_t i = 0; i < functions.size(); ++i) {
    CHECK(changed(executor, *functions[i], 1000) == expected[i]);
  }
}

TEST_CASE("a batch: the generator's sources of one operation have their device code in common") {
  std::vector<host::RawSource> sources;
  for (const char* text :
       {"row_amax[in=bf16]@sm_90a", "row_amax[in=f16]@sm_80", "nvfp4_quantize@sm_90a"}) {
    const KernelSpec spec = KernelSpec::parse(text);
    sources.push_back({spec.entry_name(), jit::generate(spec, templates()), {}});
  }
  const std::string unit = unit_of(sources);
  CHECK(count_of(unit, "// ==== device/types.cuh") == 2);
  CHECK(count_of(unit, "// ==== row_amax.cuh") == 1);
  CHECK(count_of(unit, "namespace fourge_generated {") == 3);
}

}  // namespace fourge::tests
