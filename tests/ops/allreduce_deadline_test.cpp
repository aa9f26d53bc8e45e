// allreduce_rmsnorm_quantize where a rank gives up: who is named, and that nobody takes what is not a sum for one.
#include "tests/ops/planted_defect.hpp"
#include "tests/ops/rank_group.hpp"
#include "tests/support/catch.hpp"

#include <random>
#include <vector>

namespace fourge::tests {
namespace {

KernelSpec spec_of(const std::string& algorithm, const char* axes) {
  return KernelSpec::parse("allreduce_rmsnorm_quantize[in=bf16,ranks=3,algorithm=" + algorithm +
                           "," + axes + "]@sm_90a");
}

// The ways that calls go.
struct Way {
  const char* algorithm;
  std::int64_t slot_rows;  // that the slots hold: with none two-shot has barriers
};
constexpr Way kWays[] = {{"one_shot", 8}, {"two_shot", 8}, {"two_shot", 0}};

// Ten calls of three ranks, of which rank 1 is slow and rank 2 has little patience. "", or what is wrong in results
// that no report covers.
struct Outcome {
  std::string problem;
  bool gave_up[3];
};
Outcome run_impatient(const Way& way, const KernelSpec& spec, const host::HostFunction* function,
                      std::uint64_t seed) {
  std::mt19937_64 random(seed);
  RankGroup group({3, 8, way.slot_rows, 1024}, few_multiprocessors(seed));
  group.set_deadline(3'000'000);
  group.set_deadline(2, static_cast<std::int64_t>(20'000 << (random() % 4)));
  for (int call = 0; call < 10; ++call) {
    const auto rows = static_cast<std::int64_t>(1 + random() % 8);
    group.add(spec, function, make_allreduce_case(spec, rows, 1024, false, 1 + random() % 9));
  }
  Outcome outcome{group.run_until_reports({seed, 1}), {}};
  for (int rank = 0; rank < 3; ++rank) outcome.gave_up[rank] = group.report(rank).magic != 0;
  return outcome;
}

// So that a run does not last as long as the real grace, by the emulated clock.
std::string with_short_grace(std::string source) {
  return with_defect({"", "kSecondHandGraceNs = 100000000", "kSecondHandGraceNs = 1000000"},
                     std::move(source));
}

// Without barriers a call is safe by its sums alone unless a rank gave up after it had sent them.
constexpr Defect kDefects[][2] = {
    {{"calls go on after giving up",
      "if (group.gave_up()) {\n      return;\n    }\n    const uint32 arrived = group.arrive();\n"
      "    const PeerSlots",
      "const uint32 arrived = group.arrive();\n    const PeerSlots"}},
    {{"sums are sent without what was waited for", "if (absent >= 0) {\n      return;",
      "if (false) {\n"}},
    {{"calls go on after giving up",
      "if (group.gave_up()) {\n        return;\n      }\n      arrived = group.arrive();\n"
      "      pad(tail);\n      const TwoShot",
      "arrived = group.arrive();\n      pad(tail);\n      const TwoShot"},
     {"sums are sent without what was waited for", "return;  // after the first nobody is to take",
      ";  //"}}};

}  // namespace

TEST_CASE("allreduce: a rank that never comes is reported by all others, and nobody waits for ever",
          "[allreduce]") {
  RankKernels kernels;
  for (const Way& way : kWays) {
    const std::string algorithm = way.algorithm;
    const KernelSpec spec = spec_of(algorithm, "out=norm");
    const auto function = kernels.load({&spec, 1})[0];
    for (std::uint64_t seed = 7; seed < (kFewCalls ? 8 : 15); ++seed) {
      RankGroup group({3, 8, way.slot_rows, 1024}, 2);
      group.set_deadline(2'000'000);
      group.add(spec, function, make_allreduce_case(spec, 5, 1024, false, 1));
      for (int i = 0; i < 3; ++i) {
        group.add(spec, function, make_allreduce_case(spec, 8, 1024, false, 2), true, 1);
      }
      INFO(algorithm << ", slots for " << way.slot_rows << " rows, seed " << seed);
      CHECK(group.run_until_reports({seed}) == "");
      for (const int rank : {0, 2}) {
        const comm::Report& report = group.report(rank);
        CHECK(report.magic == comm::kReportMagic);
        // Not the other one, whose sums do not come either.
        CHECK(report.rank == 1);
        CHECK(report.call == 1);
        CHECK(report.waited_ns > 2'000'000);
        CHECK(report.cta < 8);
        CHECK(report.kind == (algorithm == "one_shot" ? comm::WaitKind::one_shot_data
                                                      : comm::WaitKind::input_barrier));
        CHECK(group.control(rank).gave_up == 2);
        CHECK(group.control(rank).calls == 2);
        CHECK(group.control(rank).arrived == 0);
      }
      CHECK(group.report(1).magic == 0);
      CHECK(group.control(1).calls == 1);
    }
  }
}

TEST_CASE("allreduce: who gives up sends no more, and what the others get until they do is right",
          "[allreduce][defects]") {
  RankKernels kernels;
  for (std::size_t w = 0; w < std::size(kWays); ++w) {
    const Way& way = kWays[w];
    const KernelSpec spec = spec_of(way.algorithm, "out=sum,accumulate=type");
    std::vector<Defect> defects = {{"none", "", ""}};
    for (const Defect& defect : kDefects[w]) {
      if (!defect.from.empty() && !kFewCalls) defects.push_back(defect);
    }
    std::size_t next = 0;
    const std::vector<KernelSpec> specs(defects.size(), spec);
    const auto functions = kernels.load(specs, [&](const KernelSpec&, std::string source) {
      return with_defect(defects[next++], with_short_grace(std::move(source)));
    });
    for (std::size_t i = 0; i < defects.size(); ++i) {
      std::string problem;
      int gave_up[3] = {};
      std::uint64_t seed = 0;
      while (problem.empty() && seed < (kFewCalls ? 2 : 20)) {
        const Outcome outcome = run_impatient(way, spec, functions[i], ++seed);
        problem = outcome.problem;
        for (int rank = 0; rank < 3; ++rank) gave_up[rank] += outcome.gave_up[rank] ? 1 : 0;
      }
      INFO(way.algorithm << ", slots for " << way.slot_rows << " rows: " << defects[i].name
                         << ", seed " << seed << ": " << problem << "; gave up " << gave_up[0]
                         << ", " << gave_up[1] << ", " << gave_up[2]);
      CHECK(problem.empty() == defects[i].from.empty());
      // Where one gives up, the others learn of it.
      CHECK(gave_up[2] > 0);
      if (defects[i].from.empty()) CHECK((gave_up[0] == gave_up[2] && gave_up[1] == gave_up[2]));
    }
  }
}

}  // namespace fourge::tests
