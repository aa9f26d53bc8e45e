// What the shared calls (tests/ops/cases) leave out of nvfp4_quantize on the device: awkward global
// scales, and that axis tpc changes no bit, in fast mode too.
#include <map>
#include <string>
#include <utility>

#include "tests/gpu/gpu_fixture.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"
#include "tests/support/variant_sample.hpp"

namespace fourge::tests {
namespace {

constexpr std::pair<std::int64_t, std::int64_t> kShapes[] = {{17, 208}, {257, 1040}};

std::string base_text(const KernelSpec& spec) {
  KernelSpec base = spec;
  return base.set("tpc", "1").text();
}

// Outputs of the variants that differ only in tpc must be equal, in fast mode too.
class EqualAcrossTokensPerCta {
 public:
  bool check(const KernelSpec& spec, const std::string& what,
             const reference::Nvfp4Output& output) {
    const auto [entry, fresh] = first_.try_emplace(base_text(spec) + what, output);
    return fresh || same(entry->second, output);
  }

 private:
  std::map<std::string, reference::Nvfp4Output> first_;
};

}  // namespace

TEST_CASE("the rows a CTA takes at a time change no bit", "[variants]") {
  Gpu& gpu = Gpu::get();
  EqualAcrossTokensPerCta equal;
  for (const KernelSpec& spec : basic_nvfp4_variants(gpu.target())) {
    const Kernel kernel = gpu.runtime().prepare(spec);
    for (const auto& [rows, cols] : kShapes) {
      for (const Pattern pattern : all_patterns()) {
        const auto type = problem_for(spec, {}, 0, 16, 1).type;
        const auto x = make_input(pattern, type, rows, cols, 42);
        const auto problem = problem_for(spec, x, rows, cols, te_global_scale(x, type));
        const std::string what = std::string(to_string(pattern)) + std::to_string(rows);
        INFO(spec.text() << " " << what);
        REQUIRE(equal.check(spec, what, quantize_on(gpu.context(), kernel, problem)));
      }
    }
  }
}

TEST_CASE("awkward global scales give the reference's bits", "[variants][sanitize]") {
  Gpu& gpu = Gpu::get();
  const auto x = make_input(Pattern::random, reference::ElementType::bf16, 33, 208, 5);
  for (const char* layout : {"linear", "128x4", "8x4"}) {
    const Kernel kernel = gpu.prepare(std::string("layout=") + layout);
    for (const float scale : {1.0F, 448.0F, 0.3F, 1e-20F, 1e20F, 3.4028235e38F, 1.1754944e-38F}) {
      const auto problem = problem_for(kernel.spec(), x, 33, 208, scale);
      const auto expected = reference::quantize_nvfp4(problem);
      INFO(layout << " G=" << scale);
      CHECK(same(expected, quantize_on(gpu.context(), kernel, problem, false)));
      CHECK(same(expected, quantize_on(gpu.context(), kernel, problem, true)));
    }
  }
}

}  // namespace fourge::tests
