// allreduce_rmsnorm_quantize on emulated ranks, in seeded orders: every rank's bits are the reference's.
#include "tests/ops/rank_group.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/variant_sample.hpp"

#include <algorithm>
#include <random>

namespace fourge::tests {
namespace {

constexpr std::uint64_t kSeed = 31;

RankKernels& kernels() {
  static RankKernels instance;
  return instance;
}

KernelSpec parse(const std::string& axes) {
  return KernelSpec::parse("allreduce_rmsnorm_quantize[" + axes + "]@sm_90a");
}

int ranks_of(const KernelSpec& spec) { return spec.get("ranks").front() - '0'; }

struct Shape {
  std::int64_t rows;
  std::int64_t cols;
};

// Beside what each variant gets in a full run, all shapes meet some variant.
constexpr Shape kShapes[] = {{1, 1024}, {2, 2880}, {8, 1040}, {16, 1024}, {22, 1056}, {64, 1024},
                             {1, 7168}, {3, 5120}, {2, 4096}, {1, 16384}, {5, 2048},  {1, 8192}};

void run_variant(const KernelSpec& spec, const host::HostFunction* function, std::size_t number) {
  constexpr std::size_t kCalls = 2;
  const std::size_t calls = full_run() ? std::size(kShapes) : kCalls;
  // Two-shot calls go without barriers where the slots hold the rows.
  const std::int64_t slot_rows =
      spec.get("algorithm") == "one_shot" || number / 2 % 2 == 0 ? 64 : 0;
  const auto shape_of = [&](std::size_t i) -> const Shape& {
    return kShapes[(number * kCalls + i) % std::size(kShapes)];
  };
  std::int64_t cols = 0;
  for (std::size_t i = 0; i < calls; ++i) {
    cols = std::max(cols, shape_of(i).cols);
  }
  RankGroup group({ranks_of(spec), 64, slot_rows, cols}, few_multiprocessors(number));
  for (std::size_t i = 0; i < calls; ++i) {
    const Shape& shape = shape_of(i);
    if (spec.get("out") == "mxfp8" && shape.cols % 32 != 0) {
      continue;
    }
    const std::uint64_t seed = number * 20 + i;
    group.add(spec, function, make_allreduce_case(spec, shape.rows, shape.cols, i == 1, seed),
              (number + i) % 2 == 0);
  }
  CHECK(group.run({kSeed + number, static_cast<int>(number % 4) - 1}) == "");
}

}  // namespace

TEST_CASE("allreduce: sampled variants on emulated ranks equal the reference", "[allreduce]") {
  constexpr std::size_t kMost = 40;
  auto all = legal_variants(allreduce_rmsnorm_quantize_op(), Target::parse("sm_90a"));
  std::erase_if(all, [](const KernelSpec& spec) { return spec.get("ranks") == "1"; });
  if (kFewCalls) std::erase_if(all, [](const KernelSpec& spec) { return ranks_of(spec) > 4; });
  const auto specs = kFewCalls ? axis_value_sample(all, kSeed) : sampled(all, kMost, kSeed);
  const auto functions = kernels().load(specs);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    INFO(specs[i].text());
    run_variant(specs[i], functions[i], i);
  }
  WARN(specs.size() << " variants (seed " << kSeed << ")");
  CHECK(specs.size() >= (kFewCalls ? 8 : 20));
}

namespace {

// Calls with random row counts and both algorithms, two-shot with barriers and without, one after the other.
std::string run_random_calls(const std::vector<KernelSpec>& specs,
                             const std::vector<const host::HostFunction*>& functions,
                             std::uint64_t seed, int calls) {
  std::mt19937_64 random(seed);
  const int ranks = ranks_of(specs[0]);
  constexpr std::int64_t kSlotRows = 8;
  RankGroup group({ranks, 24, kSlotRows, 1024}, few_multiprocessors(seed));
  for (int i = 0; i < calls; ++i) {
    const std::size_t which = random() % specs.size();
    const bool two_shot = specs[which].get("algorithm") == "two_shot";
    const std::uint64_t most = random() % 4 != 0 ? 4 : two_shot ? 24 : kSlotRows;
    const auto rows = static_cast<std::int64_t>(random() % (most + 1));
    group.add(specs[which], functions[which],
              make_allreduce_case(specs[which], rows, 1024, random() % 4 == 0,
                                  seed + 1000 + random() % 50),
              i % 2 == 0);
  }
  return group.run({seed, static_cast<int>(seed % 5) - 1});
}

}  // namespace

TEST_CASE("allreduce: calls back to back, random rows, both algorithms", "[allreduce]") {
  for (const char* ranks : {"1", "2", "4"}) {
    const std::string in = std::string("in=bf16,ranks=") + ranks;
    const std::vector<KernelSpec> specs = {
        parse(in + ",out=sum"), parse(in + ",algorithm=two_shot,out=sum"),
        parse(in + ",out=nvfp4,layout=8x4"), parse(in + ",algorithm=two_shot,out=fp8,scale=token")};
    const auto functions = kernels().load(specs);
    const std::uint64_t seeds = kFewCalls ? 1 : full_run() ? 40 : 5;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
      INFO(ranks << " ranks, seed " << seed);
      CHECK(run_random_calls(specs, functions, seed, kFewCalls ? 8 : 30) == "");
    }
  }
}

}  // namespace fourge::tests
