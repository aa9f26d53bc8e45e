// Every basic variant of nvfp4_quantize (see basic_nvfp4_variants()) on the device against the reference.
#include <map>
#include <string>
#include <utility>

#include "tests/gpu/gpu_fixture.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"
#include "tests/support/variant_sample.hpp"
#include "tests/support/vectors.hpp"

namespace fourge::tests {
namespace {

constexpr std::pair<std::int64_t, std::int64_t> kShapes[] = {
    {1, 16}, {3, 64}, {17, 208}, {120, 64}, {129, 256}, {1, 7168}, {257, 1040}};

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

// The reference's answer, computed once for all values of tpc.
class References {
 public:
  const reference::Nvfp4Output& get(const KernelSpec& spec, const std::string& what,
                                    const reference::Nvfp4Problem& problem) {
    const auto [entry, fresh] = known_.try_emplace(base_text(spec) + what);
    if (fresh) entry->second = reference::quantize_nvfp4(problem);
    return entry->second;
  }

 private:
  std::map<std::string, reference::Nvfp4Output> known_;
};

}  // namespace

TEST_CASE("every variant equals the reference on all shapes and patterns", "[variants]") {
  Gpu& gpu = Gpu::get();
  References references;
  EqualAcrossTokensPerCta equal;
  std::uint64_t calls = 0;
  std::uint64_t excused = 0;
  for (const KernelSpec& spec : basic_nvfp4_variants(gpu.target())) {
    const Kernel kernel = gpu.runtime().prepare(spec);
    for (const auto& shape : kShapes) {
      for (const Pattern pattern : all_patterns()) {
        const auto rows = shape.first;
        const auto cols = shape.second;
        const auto type = problem_for(spec, {}, 0, 16, 1).type;
        const auto x = make_input(pattern, type, rows, cols, 42);
        const auto problem = problem_for(spec, x, rows, cols, te_global_scale(x, type));
        // Built up by +=: g++ 12 warns about text + std::to_string() (its bug 105651).
        std::string what(" ");
        what += to_string(pattern);
        what += ' ';
        what += std::to_string(rows);
        what += 'x';
        what += std::to_string(cols);
        INFO(spec.text() << what);
        const bool device_scale = ++calls % 2 == 0;
        const auto output = quantize_on(gpu.context(), kernel, problem, device_scale);
        const auto report =
            reference::compare_nvfp4(problem, references.get(spec, what, problem), output);
        INFO(report.first);
        REQUIRE(report.ok());
        REQUIRE(equal.check(spec, what, output));
        excused += report.excused_codes;
        if (problem.math == reference::MathMode::exact) REQUIRE(report.excused_codes == 0);
      }
    }
  }
  WARN(calls << " calls compared; " << excused << " codes of fast mode excused near a tie");
  CHECK(calls >= 36 * 6 * 6);
}

TEST_CASE("every exact variant reproduces the known-answer vectors", "[variants][vectors]") {
  Gpu& gpu = Gpu::get();
  const auto cases = load_vectors();
  int checked = 0;
  for (const KernelSpec& spec : basic_nvfp4_variants(gpu.target())) {
    if (spec.get("math") != "exact") continue;
    const Kernel kernel = gpu.runtime().prepare(spec);
    for (const VectorCase& known : cases) {
      const auto& result = known.result("nvfp4", "tensor");
      const auto problem = problem_for(spec, known.x, known.rows, known.cols, result.global_scale);
      if (problem.type != known.type) continue;
      INFO(spec.text() << " " << known.name());
      // The vectors hold linear scales; the layout's formula places them.
      reference::Nvfp4Output expected;
      expected.codes = result.codes;
      const auto matrix = problem.scale_matrix();
      expected.scales.assign(matrix.bytes(), 0);
      for (std::int64_t row = 0; row < matrix.rows(); ++row) {
        for (std::int64_t col = 0; col < matrix.cols(); ++col) {
          expected.scales[matrix.offset(row, col)] =
              result.scales[static_cast<std::size_t>(row * matrix.cols() + col)];
        }
      }
      REQUIRE(same(expected, quantize_on(gpu.context(), kernel, problem, checked % 2 == 0)));
      ++checked;
    }
  }
  CHECK(checked > 0);
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
