// What the shared calls (tests/ops/cases) leave out of nvfp4_quantize on the host: global scales from
// the smallest to the largest in every basic variant (see basic_nvfp4_variants()), and refusals.
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/runtime.hpp>

#include "reference/compare.hpp"
#include "reference/nvfp4.hpp"
#include "tests/support/aligned_buffer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"
#include "tests/support/variant_sample.hpp"

#include <algorithm>
#include <vector>

using fourge::HostKernel;
using fourge::KernelSpec;
using fourge::Nvfp4QuantizeArgs;
using fourge::Target;
using fourge::reference::ElementType;
using fourge::reference::Nvfp4Output;
using fourge::reference::Nvfp4Problem;
using fourge::tests::AlignedBuffer;

namespace {

fourge::Runtime& runtime() {
  static fourge::Runtime instance;
  return instance;
}

Nvfp4Problem problem_of(const KernelSpec& spec, std::span<const std::uint16_t> x, std::int64_t rows,
                        std::int64_t cols, float global_scale) {
  Nvfp4Problem problem;
  problem.x = x;
  problem.type = spec.get("in") == "bf16" ? ElementType::bf16 : ElementType::f16;
  problem.rows = rows;
  problem.cols = cols;
  problem.global_scale = global_scale;
  problem.math = spec.get("math") == "exact" ? fourge::reference::MathMode::exact
                                             : fourge::reference::MathMode::fast;
  problem.layout = fourge::reference::parse_scale_layout(spec.get("layout"));
  return problem;
}

enum class ScaleFrom { value, memory };

// Runs a kernel into poisoned buffers; the emulation refuses any access outside them.
Nvfp4Output run(const HostKernel& kernel, const Nvfp4Problem& problem, ScaleFrom from) {
  const AlignedBuffer x(problem.x.data(), problem.x.size_bytes());
  const auto elements = static_cast<std::size_t>(problem.rows * problem.cols);
  AlignedBuffer codes(elements / 2, 0xA5);
  AlignedBuffer scales(
      fourge::nvfp4_scale_bytes(kernel.spec().get("layout"), problem.rows, problem.cols), 0xA5);
  Nvfp4QuantizeArgs args;
  args.x = x.data();
  args.codes = codes.data();
  args.scales = scales.data();
  args.global_scale_value = from == ScaleFrom::value ? problem.global_scale : 1.0F;
  args.global_scale = from == ScaleFrom::memory ? &problem.global_scale : nullptr;
  args.rows = problem.rows;
  args.cols = problem.cols;
  kernel.launch(args);
  return {codes.bytes(), scales.bytes()};
}

void check(const HostKernel& kernel, const Nvfp4Problem& problem, ScaleFrom from) {
  const Nvfp4Output expected = fourge::reference::quantize_nvfp4(problem);
  const auto report = compare_nvfp4(problem, expected, run(kernel, problem, from));
  INFO(report.first);
  CHECK(report.ok());
  // The host takes correctly rounded reciprocals, as the reference does: nothing needs an excuse.
  CHECK(report.excused_codes == 0);
}

// The variants for one target; the instruction paths of sm_100a run by emulation of the
// instruction.
std::vector<HostKernel> kernels_for(const char* target) {
  const auto specs = fourge::tests::basic_nvfp4_variants(Target::parse(target));
  REQUIRE(specs.size() == 36);
  return runtime().prepare_host(specs);
}

}  // namespace

TEST_CASE("global scales from the smallest to the largest", "[nvfp4_quantize]") {
  const std::int64_t rows = 9;
  const std::int64_t cols = 144;
  for (const HostKernel& kernel : kernels_for("sm_90a")) {
    const auto type = kernel.spec().get("in") == "bf16" ? ElementType::bf16 : ElementType::f16;
    for (const float scale :
         {1e-37F, 1.1754944e-38F, 1e-20F, 1.0F, 2688.0F, 1e20F, 1e38F, 3.4028234663852886e38F}) {
      for (const auto pattern : fourge::tests::all_patterns()) {
        const auto x = fourge::tests::make_input(pattern, type, rows, cols, 7);
        INFO(kernel.spec().text() << " G=" << scale << " " << to_string(pattern));
        check(kernel, problem_of(kernel.spec(), x, rows, cols, scale), ScaleFrom::value);
      }
    }
  }
}

TEST_CASE("no rows: nothing is touched", "[nvfp4_quantize]") {
  const auto kernel = runtime().prepare_host(KernelSpec::parse("nvfp4_quantize@sm_90a"));
  Nvfp4QuantizeArgs args;
  args.cols = 64;
  kernel.launch(args);
}

TEST_CASE("an op mismatch and bad arguments are refused before anything runs", "[nvfp4_quantize]") {
  const auto kernel = runtime().prepare_host(KernelSpec::parse("nvfp4_quantize@sm_90a"));
  Nvfp4QuantizeArgs args;
  args.rows = 1;
  args.cols = 16;
  CHECK_THROWS_AS(kernel.launch(args), fourge::Error);
  CHECK_THROWS_AS(kernel.launch_args("other_op", &args, sizeof args), fourge::Error);
  CHECK_THROWS_AS(kernel.launch_args(Nvfp4QuantizeArgs::kOp, &args, 8), fourge::Error);
}
