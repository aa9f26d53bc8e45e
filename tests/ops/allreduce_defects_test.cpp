// Defects that such kernels have had, each planted into the source once: calls on emulated ranks must show
// every one of them, and show nothing without.
#include "tests/ops/planted_defect.hpp"
#include "tests/ops/rank_group.hpp"
#include "tests/support/catch.hpp"

#include <random>
#include <string_view>

namespace fourge::tests {
namespace {

constexpr Defect kOneShot[] = {
    {"none", "", ""},
    {"the generation in use is cleared", "(state.generation + kGenerations - 1) % kGenerations",
     "state.generation"},
    {"the generation that comes next is cleared",
     "(state.generation + kGenerations - 1) % kGenerations",
     "(state.generation + 1) % kGenerations"},
    {"no clear", "pad(tail);\n    slots.clear();", "pad(tail);"},
    {"cleared as far as this call goes, not the one before", "pad(tail);\n    slots.clear();",
     "pad(tail);\n    const ControlState wrong{state.generation, state.calls, row_bytes(vectors), "
     "0};"
     "PeerSlots<Config>{group, wrong, slot_bytes}.clear();"},
    {"two generations", "(arrived, (state.generation + 1) % kGenerations, row_bytes(vectors), 0)",
     "(arrived, (state.generation + 1) % 2, row_bytes(vectors), 0)"},
    {"looks at what a peer got", "load_peer(from + r * slots.slot_bytes + at)",
     "load_peer(group.peers[r] + slots.place(group.rank) + at)"},
    {"-0.0 is sent as it is", "v.w[i] = without_negative_zeros<kType>(words.w[i]);",
     "v.w[i] = words.w[i];"},
    {"looks at three words of four", " || v.w[3] == kSentinel", ""},
    {"does not look again", "while (missing >= 0 && !wait.is_over(missing));", "while (false);"},
    {"the sum begins with the own part", "put(first + b * step, add_up<Config>(v[b]));",
     "const PeerVector t = v[b][0]; v[b][0] = v[b][group.rank]; v[b][group.rank] = t;"
     "put(first + b * step, add_up<Config>(v[b]));"},
    {"the end of a row is not covered",
     "if (first + b * step < vectors) {\n          const int64 at",
     "if (first + b * step < vectors / 32 * 32) {\n          const int64 at", 1040},
    {"the arrival counter stays", "store_control(&control->arrived, 0u);", ""},
    {"the control changes before all have read it", "arrived == gridDim.x - 1", "blockIdx.x == 0"}};

// The two-shot algorithm without barriers.
constexpr Defect kSentinels[] = {
    {"none", "", ""},
    {"the generation in use is cleared", "(state.generation + kGenerations - 1) % kGenerations",
     "state.generation"},
    {"the generation that comes next is cleared",
     "(state.generation + kGenerations - 1) % kGenerations",
     "(state.generation + 1) % kGenerations"},
    {"inputs are not cleared", "? state.used_bytes : state.result_bytes",
     "? 0 : state.result_bytes"},
    {"sums are not cleared", "? state.used_bytes : state.result_bytes", "? state.used_bytes : 0"},
    {"not all of the inputs is cleared", "row_bytes(exchange.part()),",
     "row_bytes(exchange.part()) - 16 * exchange.part(),"},
    {"not all of the sums is cleared",
     "row_bytes(exchange.part()),\n                         row_bytes(vectors));",
     "row_bytes(exchange.part()), row_bytes(exchange.part()));"},
    {"no clear", "exchange.send_sums();\n      slots.clear();", "exchange.send_sums();"},
    {"two generations", "(arrived, (state.generation + 1) % kGenerations, row_bytes(exchange",
     "(arrived, (state.generation + 1) % 2, row_bytes(exchange"},
    {"does not look again at inputs", "} while (absent >= 0 && !wait.is_over(absent));",
     "} while (false);"},
    {"looks at one rank's inputs again", "absent = r;", "absent = r == 0 ? r : absent;"},
    {"does not look again at sums", "} while (late >= 0 &&", "} while (false &&"},
    {"a sum of two -0.0 is sent as it is", "replaced(sum, kSentinel, kSentinelSum)", "sum"},
    {"a sum of two -0.0 stays what it was sent as", "replaced(sum, kSentinelSum, kSentinel)",
     "sum"},
    {"-0.0 is sent as it is", "v.w[i] = without_negative_zeros<kType>(words.w[i]);",
     "v.w[i] = words.w[i];"},
    {"sums go where others' inputs belong", "slots.place(r) + at, sum",
     "slots.place(rank()) + at, sum"},
    {"the sum begins with the own part", "without_sentinel(add_up<Config>(v));",
     "[&] { const PeerVector t = v[0]; v[0] = v[rank()]; v[rank()] = t;"
     " return without_sentinel(add_up<Config>(v)); }();"},
    {"the last part of a row is cut off", "(vectors + kRanks - 1) / kRanks", "vectors / kRanks",
     1040},
    {"the arrival counter stays", "store_control(&control->arrived, 0u);", ""},
    {"the control changes before all have read it", "arrived == gridDim.x - 1", "blockIdx.x == 0"}};

constexpr Defect kTwoShot[] = {
    {"none", "", ""},
    {"no first barrier", "if (!meet(2 * state.calls + step,",
     "if (step == 2 && !meet(2 * state.calls + step,"},
    {"no second barrier", "if (!meet(2 * state.calls + step,",
     "__syncthreads();\nif (step == 1 && !meet(2 * state.calls + step,"},
    {"both barriers have one number", "2 * state.calls + step", "2 * state.calls + 1"},
    {"the second barrier's number is always the same", "2 * state.calls + step",
     "(step == 1 ? 2 * state.calls + 1 : 2)"},
    {"flags are not released", "fourge_host::system_store(p, &value, sizeof(value), 1);",
     "fourge_host::system_store(p, &value, sizeof(value), 0);"},
    {"flags are released before all threads have stored",
     "WaitKind kind) const {\n    __syncthreads();", "WaitKind kind) const {"},
    {"the other threads do not wait", "return __syncthreads_or(over ? 1 : 0) == 0;",
     "return true;"},
    {"reads a peer's input area", "load_peer(group.own() + input_place(r, row, in_part))",
     "load_peer(group.at(r) + input_place(group.rank, row, in_part))"},
    {"the sum begins with the own part", "const PeerVector sum = add_up<Config>(v[b]);",
     "const PeerVector t = v[b][0]; v[b][0] = v[b][group.rank]; v[b][group.rank] = t;"
     "const PeerVector sum = add_up<Config>(v[b]);"},
    {"the last part of a row is cut off", "(vectors + kRanks - 1) / kRanks", "vectors / kRanks",
     1040},
    {"the arrival counter stays", "store_control(&control->arrived, 0u);", ""}};

// Calls without barriers and such with them, one after the other.
constexpr Defect kTwoShotMixed[] = {
    {"none", "", ""},
    {"a call with barriers forgets what is to be cleared",
     "state.generation, state.used_bytes, state.result_bytes", "state.generation, 0, 0"},
    {"a call with barriers takes a generation", "(arrived, state.generation, state.used_bytes",
     "(arrived, (state.generation + 1) % kGenerations, state.used_bytes"}};

// slot_rows: that the slots hold.
std::string run_calls(const KernelSpec& spec, const host::HostFunction* function, std::int64_t cols,
                      std::int64_t slot_rows, std::uint64_t seed) {
  constexpr int kCalls = 12;
  std::mt19937_64 random(seed);
  RankGroup group({3, 12, slot_rows, 1056}, 1 + static_cast<int>(seed % 2));
  group.set_deadline(30'000'000);
  for (int i = 0; i < kCalls; ++i) {
    const auto rows = static_cast<std::int64_t>(1 + random() % (random() % 3 == 0 ? 12 : 3));
    group.add(spec, function, make_allreduce_case(spec, rows, cols, false, 1 + random() % 9));
  }
  return group.run({seed, static_cast<int>(seed % 4) - 1});
}

void check_defects(const char* algorithm, std::int64_t slot_rows, std::span<const Defect> defects) {
  constexpr std::uint64_t kSeeds = kFewCalls ? 2 : 8;
  if (kFewCalls) {
    defects = defects.first(2);  // the source as it is, and one defect
  }
  const KernelSpec spec =
      KernelSpec::parse(std::string("allreduce_rmsnorm_quantize[in=bf16,ranks=3,algorithm=") +
                        algorithm + ",out=sum,accumulate=type]@sm_90a");
  RankKernels kernels;
  std::size_t next = 0;
  const std::vector<KernelSpec> specs(defects.size(), spec);
  const auto functions = kernels.load(specs, [&](const KernelSpec&, std::string source) {
    return with_defect(defects[next++], std::move(source));
  });
  for (std::size_t i = 0; i < defects.size(); ++i) {
    std::string found;
    std::uint64_t seed = 0;
    while (found.empty() && seed < kSeeds) {
      found = run_calls(spec, functions[i], defects[i].cols, slot_rows, ++seed);
    }
    INFO(defects[i].name << ", seed " << seed << ": " << found);
    CHECK(found.empty() == defects[i].from.empty());
  }
}

}  // namespace

TEST_CASE("allreduce: planted defects of one-shot show", "[allreduce][defects]") {
  check_defects("one_shot", 12, kOneShot);
}
TEST_CASE("allreduce: planted defects of two-shot with sentinels show", "[allreduce][defects]") {
  check_defects("two_shot", 12, kSentinels);
}
TEST_CASE("allreduce: planted defects between both ways of two-shot show", "[allreduce][defects]") {
  check_defects("two_shot", 2, kTwoShotMixed);
}
TEST_CASE("allreduce: planted defects of two-shot with barriers show", "[allreduce][defects]") {
  check_defects("two_shot", 0, kTwoShot);
}

}  // namespace fourge::tests
