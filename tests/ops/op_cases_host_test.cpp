// Every operation's calls, executed on the host from the same source that NVRTC gets: for a target
// without the conversion instructions, one with E4M3's only, and one with all (emulated).
#include <fourge/runtime.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/ops/cases/op_cases.hpp"
#include "tests/ops/cases/vector_calls.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/variant_sample.hpp"
#include "tools/executed_targets.hpp"

namespace fourge::tests {
namespace {

constexpr std::size_t kMostVariants = 120;
constexpr std::uint64_t kSeed = 20;

// ThreadSanitizer's time for a switch between emulated threads grows with their number: an hour for what takes two
// minutes. Then every value of every axis, instead of every pair.
std::vector<KernelSpec> some_of(const std::vector<KernelSpec>& all, std::size_t most) {
#if defined(__SANITIZE_THREAD__)
  return all.size() <= most / 4 ? all : axis_value_sample(all, kSeed);
#else
  return sampled(all, most, kSeed);
#endif
}

void run_variants(const OpCases& cases, const std::vector<KernelSpec>& specs) {
  static Runtime runtime;
  const auto kernels = runtime.prepare_host(specs);
  std::size_t calls = 0;
  Excused excused;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    cases.visit(specs[i], CallSize::small, [&](const OpCall& call) {
      const std::string difference = run_on_host(kernels[i], call);
      INFO(difference);
      CHECK(difference.empty());
      if (call.excused) {
        excused.codes += call.excused->codes;
        excused.blocks += call.excused->blocks;
      }
      ++calls;
    });
  }
  WARN(cases.op << ": " << specs.size() << " variants (seed " << kSeed << "), " << calls
                << " calls; excused in fast math: " << excused.codes << " codes, " << excused.blocks
                << " blocks");
  CHECK(calls >= specs.size());
}

const OpCases& cases_of(const std::string& op) {
  const auto& all = all_op_cases();
  const auto cases =
      std::find_if(all.begin(), all.end(), [&](const OpCases& one) { return one.op == op; });
  REQUIRE(cases != all.end());
  return *cases;
}

}  // namespace

TEST_CASE("every operation has its calls", "[ops]") {
  REQUIRE(all_op_cases().size() == all_ops().size());
  for (std::size_t i = 0; i < all_ops().size(); ++i) {
    CHECK(all_op_cases()[i].op == all_ops()[i]->name);
  }
}

TEST_CASE("every operation's calls on the host equal the reference", "[ops]") {
  for (const OpCases& cases : all_op_cases()) {
    DYNAMIC_SECTION(cases.op) {
      const auto all = variants_with_calls(cases.op, tools::host_executed_targets());
      run_variants(cases, some_of(all, kMostVariants));
    }
  }
}

// The sample need not have tpc=1 with tiled scales and without 4over6, which share out blocks in a way of their own.
TEST_CASE("NVFP4 by tiles of scales: batches, odd shapes, scales a row", "[ops]") {
  std::vector<KernelSpec> specs;
  for (const char* axes :
       {"layout=128x4", "layout=8x4", "layout=128x4,scale=row", "layout=8x4,scale=row_inv",
        "layout=128x4,in=e4m3,math=fast", "layout=8x4,in=f16"}) {
    specs.push_back(
        KernelSpec::parse(std::string("nvfp4_quantize[") + axes + ",tpc=1,4over6=off]@sm_90a"));
  }
  run_variants(cases_of("nvfp4_quantize"), specs);
}

// Nor need it have each kind of quantization and of sum with a CTA that is alone with its row.
TEST_CASE("RMSNorm of rows that are copied or held in registers: residual, 4over6, a scale a row",
          "[ops]") {
  std::vector<KernelSpec> specs;
  for (const char* axes :
       {"", "4over6=mae448,", "scale=token,", "residual=add,", "out=fp8,", "out=mxfp8,",
        "out=mxfp8,layout=8x4,residual=add,order=unrounded,", "out=fp8,scale=token,residual=add,",
        "order=unrounded,", "order=unrounded,residual=add,scale=token,layout=8x4,",
        "4over6=mse256,scale=token,in=f16,layout=8x4,",
        "4over6=mae448fast,residual=add,layout=128x4,weight=plus_one,",
        "scale=token,residual=add,layout=128x4,"}) {
    specs.push_back(
        KernelSpec::parse(std::string("rmsnorm_quantize[") + axes + "row=registers1]@sm_90a"));
  }
  for (const char* axes :
       {"", "4over6=mae448,", "scale=token,", "residual=add,", "out=fp8,", "out=mxfp8,",
        "out=mxfp8,layout=8x4,residual=add,in=f16,", "out=mxfp8,layout=128x4,",
        "out=fp8,scale=token,residual=add,", "4over6=mse256,scale=token,in=f16,layout=8x4,",
        "4over6=mae448fast,residual=add,layout=128x4,weight=plus_one,",
        "scale=token,residual=add,layout=128x4,"}) {
    specs.push_back(
        KernelSpec::parse(std::string("rmsnorm_quantize[") + axes + "row=copied]@sm_90a"));
  }
  run_variants(cases_of("rmsnorm_quantize"), specs);
}

TEST_CASE("the published matrix on the host equals the reference", "[matrix]") {
  constexpr std::size_t kMost = 40;
  Runtime runtime;
  const auto all = vector_specs(Target::parse("sm_90a"));
  const auto specs = some_of(all, kMost);
  const auto kernels = runtime.prepare_host(specs);
  const CallSize size = full_run() ? CallSize::matrix : CallSize::matrix_small;
  std::size_t calls = 0;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    for (const OpCases& cases : all_op_cases()) {
      if (cases.op == specs[i].op().name) {
        cases.visit(specs[i], size, [&](const OpCall& call) {
          const std::string difference = run_on_host(kernels[i], call);
          INFO(difference);
          CHECK(difference.empty());
          ++calls;
        });
      }
    }
  }
  WARN("matrix: " << specs.size() << " of " << all.size() << " variants (seed " << kSeed << "), "
                  << calls << " calls");
  CHECK(calls >= specs.size() * 8 * 4);
}

}  // namespace fourge::tests
