// moe_expand_quantize with staging=on: block scales through the workspace. Its CTAs wait for each other, so
// beside calls as all operations have them there are calls whose blocks take turns in seeded orders, two
// launches on one workspace, and defects planted into the source, all of which must show.
#include <fourge/moe_expand_quantize.hpp>
#include <fourge/runtime.hpp>

#include "runtime/host/ranks.hpp"
#include "tests/ops/cases/moe_expand_cases.hpp"
#include "tests/ops/planted_defect.hpp"
#include "tests/ops/rank_group.hpp"
#include "tests/support/aligned_buffer.hpp"
#include "tests/support/catch.hpp"

#include <algorithm>
#include <string>
#include <string_view>

namespace fourge::tests {
namespace {

std::vector<KernelSpec> staged_specs() {
  std::vector<KernelSpec> specs;
  for (const char* format :
       {"scale=tensor", "scale=token", "format=mxfp8,scale=none", "scale=tensor,4over6=mae448",
        "scale=token,4over6=mse256", "in=f16,scale=tensor", "in=f16,format=mxfp8,scale=none"}) {
    for (const char* layout : {"128x4", "8x4"}) {
      for (const char* index : {"padded", "compact"}) {
        specs.push_back(KernelSpec::parse(std::string("moe_expand_quantize[") + format +
                                          ",layout=" + layout + ",index=" + index +
                                          ",staging=on]@sm_90a"));
      }
    }
  }
  return specs;
}

std::vector<OpCall> calls_of(const KernelSpec& spec) {
  std::vector<OpCall> calls;
  visit_moe_expand_calls(spec, CallSize::small, [&](const OpCall& call) { calls.push_back(call); });
  return calls;
}

// Calls one after the other on one workspace, which is as large as the largest needs.
class SharedWorkspace {
 public:
  explicit SharedWorkspace(std::span<const OpCall> calls) : calls_(calls) {
    std::size_t bytes = 0;
    for (const OpCall& call : calls) {
      bytes = std::max(bytes, call.buffers.back().bytes.size());
    }
    std::vector<std::uint8_t> initial(bytes, kPoison);
    std::fill_n(initial.begin(), kCounters, std::uint8_t{0});
    workspace_ = std::make_unique<AlignedBuffer>(initial.data(), initial.size());
    for (const OpCall& call : calls) {
      std::vector<std::uint8_t*> addresses;
      for (const OpBuffer& buffer : call.buffers) {
        const auto content = initial_bytes(buffer);
        auto& memory =
            memory_.emplace_back(std::make_unique<AlignedBuffer>(content.data(), content.size()));
        addresses.push_back(buffer.name == "workspace" ? workspace_->data() : memory->data());
      }
      args_.push_back(call.args(addresses));
    }
  }

  const std::vector<std::byte>& args(std::size_t call) const { return args_[call]; }

  // "" or the first thing that is wrong after the calls.
  std::string difference() const {
    std::size_t next = 0;
    for (const OpCall& call : calls_) {
      std::vector<std::vector<std::uint8_t>> found;
      for (std::size_t i = 0; i < call.buffers.size(); ++i) {
        found.push_back(memory_[next++]->bytes());
      }
      if (std::string text = first_difference(call, found); !text.empty()) {
        return text;
      }
    }
    const auto bytes = workspace_->bytes();
    return std::any_of(bytes.begin(), bytes.begin() + kCounters, [](auto b) { return b != 0; })
               ? "the workspace's counters are not zero"
               : "";
  }

 private:
  static constexpr std::ptrdiff_t kCounters = 512;
  std::span<const OpCall> calls_;
  std::unique_ptr<AlignedBuffer> workspace_;
  std::vector<std::unique_ptr<AlignedBuffer>> memory_;
  std::vector<std::vector<std::byte>> args_;
};

// All blocks of a launch are alive and take turns.
std::string run_in_turns(const host::HostFunction* function, std::span<const OpCall> calls,
                         std::uint64_t seed) {
  const SharedWorkspace memory(calls);
  std::vector<host::RankCall> launches;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    launches.push_back({function, calls[i].spec, memory.args(i)});
  }
  try {
    host::RankSchedule schedule;
    schedule.seed = seed;
    schedule.most_turns = 2'000'000;
    host::run_ranks(std::span(&launches, 1), schedule);
  } catch (const Error& error) {
    return error.what();
  }
  return memory.difference();
}

// A block's threads run without a change between two of its barriers, so that what a barrier less would do
// does not show here.
constexpr Defect kDefects[] = {
    {"none", "", ""},
    {"nobody waits", "while (load_acquire(counter(2 + stage)) < count)", "while (false)"},
    {"waits for one item less", "counter(2 + stage)) < count", "counter(2 + stage)) + 1 < count"},
    {"the counters stay", "store(counter(i), uint64{0});", ""},
    {"items that are drawn are not put back", "for (int i = 0; i < kWorkCounters",
     "for (int i = 1; i < kWorkCounters"},
    {"what is done is not put back", "store(counter(i), uint64{0});",
     "store(counter(i), uint64{i == 3});"},
    {"a CTA that leaves is not counted", "atomicAdd(counter(1), uint64{1}) + 1 == gridDim.x",
     "false"},
    {"a token's scales are another's", "from * staged_pitch", "(from ^ 1) * staged_pitch"}};

}  // namespace

TEST_CASE("expanded rows with staged scales equal the reference", "[moe][staging]") {
  Runtime runtime;
  const auto specs = staged_specs();
  const auto kernels = runtime.prepare_host(specs);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const auto calls = calls_of(specs[i]);
    REQUIRE(calls.size() > 10);
    const SharedWorkspace memory(calls);
    for (std::size_t c = 0; c < calls.size(); ++c) {
      kernels[i].launch_args(specs[i].op().name, memory.args(c).data(), memory.args(c).size());
    }
    CHECK(memory.difference() == "");
  }
}

TEST_CASE("staged scales: every order of the blocks gives the same, planted defects show",
          "[moe][staging][defects]") {
  constexpr std::uint64_t kSeeds = kFewCalls ? 2 : 6;
  const auto spec =
      KernelSpec::parse("moe_expand_quantize[layout=128x4,index=compact,staging=on]@sm_90a");
  RankKernels kernels;
  std::size_t next = 0;
  const std::vector<KernelSpec> specs(std::size(kDefects), spec);
  const auto functions = kernels.load(specs, [&](const KernelSpec&, std::string source) {
    return with_defect(kDefects[next++], std::move(source));
  });
  const auto all = calls_of(spec);
  for (std::size_t i = 0; i < std::size(kDefects); ++i) {
    std::string found;
    std::uint64_t seed = 0;
    while (found.empty() && seed < kSeeds) {
      ++seed;
      for (std::size_t first = seed % 3; found.empty() && first + 3 <= all.size(); first += 3) {
        found = run_in_turns(functions[i], std::span(all).subspan(first, 3), seed);
      }
    }
    INFO(kDefects[i].name << ", seed " << seed << ": " << found);
    CHECK(found.empty() == kDefects[i].from.empty());
  }
}

}  // namespace fourge::tests
