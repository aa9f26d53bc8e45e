// allreduce_rmsnorm_quantize on all devices of this machine, one rank each, or several that share them: every
// rank's bits equal those of the rank-ordered CPU reference. Needs two ranks.
#include <fmt/format.h>

#include <atomic>
#include <cstdlib>
#include <fourge/error.hpp>
#include <random>
#include <span>

#include "tests/gpu/allreduce_support.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

constexpr const char* kAlgorithms[] = {"one_shot", "two_shot"};

void require_equal(const AllreduceCase& c, const std::string& what, const std::string& text) {
  if (!text.empty()) throw std::runtime_error(fmt::format("{}, {}: {}", c.text(), what, text));
}

// What rank 0 computes and all compare with.
class Shared {
 public:
  const AllreduceResults& expected(RankThread& self, const AllreduceCase& c) {
    self.meeting.wait();
    if (self.rank == 0) results_ = allreduce_expected(c, test_threads());
    self.meeting.wait();
    return results_;
  }

 private:
  AllreduceResults results_;
};

void run_case(RankThread& self, comm::Group& group, AllreduceBuffers& buffers, Shared& shared,
              const AllreduceCase& c, const LaunchOptions& options = {},
              std::span<const char* const> algorithms = kAlgorithms) {
  buffers.prepare(c, self.rank, self.stream);
  const AllreduceResults& expected = shared.expected(self, c);
  for (const char* algorithm : algorithms) {
    const std::string axes = fmt::format("{},algorithm={}", c.axes, algorithm);
    group.prepare(axes);
    buffers.poison(self.stream.get());
    self.stream.synchronize();
    self.meeting.wait();
    group.allreduce_rmsnorm_quantize(buffers.args(), axes, self.stream.get(), options);
    self.stream.synchronize();
    group.check();
    self.settle();
    require_equal(c, algorithm, difference(buffers.results(self.stream), expected));
  }
}

}  // namespace

TEST_CASE("all-reduce: every token count, width and layout equals the reference on all ranks",
          "[allreduce]") {
  const int ranks = test_ranks();
  constexpr std::int64_t kTokens[] = {1, 2, 8, 16, 22, 64, 128, 1024, 2048};
  constexpr std::int64_t kWidths[] = {1024, 2048, 2880, 4096, 5120, 7168, 8192, 16384};
  Shared shared;
  std::atomic<int> calls{0};
  const std::string text = run_ranks(allreduce_runtime(), ranks, [&](RankThread& self) {
    std::size_t next[2] = {0, 0};
    std::uint64_t seed = 100;
    for (std::size_t w = 0; w < std::size(kWidths); ++w) {
      // f16 takes fewer variants.
      const bool f16 = w % 4 == 3;
      const std::string dtype = f16 ? "f16" : "bf16";
      const auto variants = allreduce_axes(dtype, ranks);
      comm::Group group(self.runtime, self.config(2048, kWidths[w], dtype));
      AllreduceBuffers buffers(self.context, 2048, kWidths[w]);
      for (const std::int64_t tokens : kTokens) {
        // More ranks than devices have fewer processors, too, for the reference.
        if (self.shares_devices && tokens == 2048 && kWidths[w] != 7168) continue;
        const auto run = [&](const std::string& axes) {
          const AllreduceCase c{axes, dtype, ranks, tokens, kWidths[w], ++seed, seed % 3 == 0};
          if (axes.find("mxfp8") != std::string::npos && c.cols % 32 != 0) return;
          run_case(self, group, buffers, shared, c);
          if (self.rank == 0) ++calls;
        };
        for (const char* layout : {"linear", "128x4", "8x4"}) {
          run(fmt::format("out=nvfp4,layout={}", layout));
        }
        // And other variants, two for few tokens, one for many.
        for (int repeat = 0; repeat < (tokens <= 128 ? 2 : 1); ++repeat) {
          run(variants[next[f16 ? 1 : 0]++ % variants.size()]);
        }
      }
    }
  });
  CHECK(text.empty());
  if (!text.empty()) WARN(text);
  CHECK(calls > 300);
}

TEST_CASE("all-reduce: -0.0, NaN and infinities, every kind of output", "[allreduce]") {
  const int ranks = test_ranks();
  Shared shared;
  const std::string text = run_ranks(allreduce_runtime(), ranks, [&](RankThread& self) {
    comm::Group group(self.runtime, self.config(64, 2880));
    AllreduceBuffers buffers(self.context, 64, 2880);
    std::uint64_t seed = 7;
    for (const std::string& axes : allreduce_axes("bf16", ranks)) {
      const AllreduceCase c{axes, "bf16", ranks, 22, 2880, ++seed, true};
      run_case(self, group, buffers, shared, c, {.programmatic_dependent_launch = seed % 2 == 0});
    }
  });
  CHECK(text.empty());
  if (!text.empty()) WARN(text);
}

TEST_CASE("all-reduce: few tokens added up with barriers, where no slots hold them",
          "[allreduce]") {
  const int ranks = test_ranks();
  constexpr const char* kTwoShot[] = {"two_shot"};
  Shared shared;
  const std::string text = run_ranks(allreduce_runtime(), ranks, [&](RankThread& self) {
    for (const std::int64_t cols : {2880, 7168}) {
      comm::GroupConfig config = self.config(128, cols);
      config.one_shot_rows = 0;
      comm::Group group(self.runtime, config);
      AllreduceBuffers buffers(self.context, 128, cols);
      for (const std::int64_t tokens : {1, 8, 22, 128}) {
        const AllreduceCase c{"out=nvfp4", "bf16", ranks, tokens, cols, 9, tokens == 22};
        run_case(self, group, buffers, shared, c, {}, kTwoShot);
      }
    }
  });
  CHECK(text.empty());
  if (!text.empty()) WARN(text);
}

TEST_CASE("all-reduce: ten thousand calls one after another, token counts at random",
          "[allreduce]") {
  const int ranks = test_ranks();
  const int calls = ranks_share_devices() ? 3'000 : 10'000;
  constexpr int kSets = 8;
  constexpr std::int64_t kMost = 48;
  constexpr std::int64_t kSlotRows = 32;  // two-shot calls of more have barriers
  constexpr std::int64_t kCols = 2880;
  const std::string axes = "out=nvfp4";
  Shared shared;
  const std::string text = run_ranks(allreduce_runtime(), ranks, [&](RankThread& self) {
    comm::GroupConfig config = self.config(kMost, kCols);
    config.one_shot_rows = kSlotRows;
    comm::Group group(self.runtime, config);
    std::vector<AllreduceCase> cases;
    std::vector<AllreduceResults> expected;
    std::vector<std::unique_ptr<AllreduceBuffers>> buffers;
    for (int set = 0; set < kSets; ++set) {
      cases.push_back({axes, "bf16", ranks, kMost, kCols, 40U + static_cast<unsigned>(set), false});
      expected.push_back(shared.expected(self, cases.back()));
      buffers.push_back(std::make_unique<AllreduceBuffers>(self.context, kMost, kCols));
      buffers.back()->prepare(cases.back(), self.rank, self.stream);
    }
    std::string with[2];
    for (int i = 0; i < 2; ++i) {
      with[i] = fmt::format("{},algorithm={}", axes, kAlgorithms[i]);
      group.prepare(with[i]);
    }
    self.meeting.wait();
    std::minstd_rand random(11);  // the same on all ranks
    for (int call = 0; call < calls; ++call) {
      const auto set = static_cast<std::size_t>(random() % kSets);
      const auto rows = static_cast<std::int64_t>(random() % kMost + 1);
      const std::string& which = with[random() % 2 == 0 || rows > kSlotRows ? 1 : 0];
      const bool looked_at = call % 250 == 249;
      if (looked_at) {
        self.settle();
        buffers[set]->poison(self.stream.get());
        self.settle();
      }
      AllreduceRmsnormQuantizeArgs args = buffers[set]->args();
      args.rows = rows;
      group.allreduce_rmsnorm_quantize(args, which, self.stream.get(),
                                       {.programmatic_dependent_launch = random() % 2 == 0});
      if (!looked_at) continue;
      self.stream.synchronize();
      group.check();
      self.settle();
      require_equal(cases[set], fmt::format("call {} of {} rows", call, rows),
                    difference(buffers[set]->results(self.stream), expected[set], rows, kMost));
      self.settle();
    }
    const comm::GroupStats stats = group.stats();
    if (stats.one_shot + stats.two_shot != static_cast<std::uint64_t>(calls) || stats.nccl != 0) {
      throw std::runtime_error("the calls were not counted");
    }
  });
  CHECK(text.empty());
  if (!text.empty()) WARN(text);
}

TEST_CASE("all-reduce: a graph replayed a hundred times with other data", "[allreduce]") {
  const int ranks = test_ranks();
  constexpr int kSets = 4;
  constexpr std::int64_t kMost = 33;
  constexpr std::int64_t kCols = 7168;
  constexpr std::int64_t kRows[] = {1, 22, kMost};
  const std::string axes = "out=nvfp4";
  Shared shared;
  const std::string text = run_ranks(allreduce_runtime(), ranks, [&](RankThread& self) {
    comm::Group group(self.runtime, self.config(kMost, kCols));
    std::vector<AllreduceResults> expected;
    std::vector<std::vector<std::uint16_t>> inputs;
    std::vector<std::unique_ptr<AllreduceBuffers>> buffers;
    // Residual and weight are those of seed 70 in every set.
    const AllreduceCase base{axes, "bf16", ranks, kMost, kCols, 70, false};
    for (int set = 0; set < kSets; ++set) {
      AllreduceCase c = base;
      c.specials = set % 2 == 1;
      expected.push_back(shared.expected(self, c));
      inputs.push_back(allreduce_input(c, self.rank));
    }
    for (std::size_t i = 0; i < std::size(kRows); ++i) {
      buffers.push_back(std::make_unique<AllreduceBuffers>(self.context, kMost, kCols));
      buffers.back()->prepare(base, self.rank, self.stream);
    }
    const std::string with[] = {axes + ",algorithm=one_shot", axes + ",algorithm=two_shot",
                                axes + ",algorithm=one_shot"};
    for (const std::string& one : with) group.prepare(one);
    self.settle();
    const Graph graph(self.context, self.stream, [&] {
      for (std::size_t i = 0; i < std::size(kRows); ++i) {
        AllreduceRmsnormQuantizeArgs args = buffers[i]->args();
        args.rows = kRows[i];
        group.allreduce_rmsnorm_quantize(args, with[i], self.stream.get(),
                                         {.programmatic_dependent_launch = i == 1});
      }
    });
    self.stream.synchronize();
    self.meeting.wait();
    for (int replay = 0; replay < 100; ++replay) {
      const auto set = static_cast<std::size_t>(replay % kSets);
      for (auto& one : buffers) {
        one->poison(self.stream.get());
        one->upload_x(inputs[set], self.stream);
      }
      self.settle();
      graph.launch(self.stream.get());
      self.stream.synchronize();
      group.check();
      self.settle();
      for (std::size_t i = 0; i < std::size(kRows); ++i) {
        require_equal(base, fmt::format("replay {} of {} rows", replay, kRows[i]),
                      difference(buffers[i]->results(self.stream), expected[set], kRows[i], kMost));
      }
    }
  });
  CHECK(text.empty());
  if (!text.empty()) WARN(text);
}

TEST_CASE("all-reduce: NCCL in the place of peers", "[allreduce]") {
  if (ranks_share_devices()) {
    WARN("skipped: NCCL takes one rank a device; there are " << test_ranks() << " ranks and "
                                                             << test_devices());
    return;
  }
  const int ranks = test_ranks();
  const char* const library = std::getenv("FOURGE_TEST_NCCL");
  Shared shared;
  std::atomic<bool> missing{false};
  const std::string text = run_ranks(allreduce_runtime(), ranks, [&](RankThread& self) {
    comm::GroupConfig config = self.config(16, 2880);
    config.transport = comm::Transport::nccl;
    if (library != nullptr) config.nccl_library = library;
    std::unique_ptr<comm::Group> group;
    try {
      group = std::make_unique<comm::Group>(self.runtime, config);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::library_missing) throw;
      missing = true;  // on all ranks
      return;
    }
    AllreduceBuffers buffers(self.context, 16, 2880);
    for (const char* axes : {"out=nvfp4,layout=8x4", "out=sum", "out=norm", "out=fp8"}) {
      const AllreduceCase c{axes, "bf16", ranks, 16, 2880, 31, false};
      buffers.prepare(c, self.rank, self.stream);
      const AllreduceResults& expected = shared.expected(self, c);
      group->prepare(axes);
      group->allreduce_rmsnorm_quantize(buffers.args(), axes, self.stream.get());
      self.stream.synchronize();
      const std::string found = difference(buffers.results(self.stream), expected);
      // One addition has no order.
      if (ranks == 2) require_equal(c, "nccl", found);
    }
    if (group->stats().nccl != 4) throw std::runtime_error("the calls were not counted");
  });
  CHECK(text.empty());
  if (!text.empty()) WARN(text);
  if (missing) WARN("NCCL was not found: FOURGE_TEST_NCCL names its library");
}

// Few calls, for compute-sanitizer.
TEST_CASE("all-reduce: a few small calls, for the sanitizer", "[allreduce][allreduce-sanitize]") {
  const int ranks = test_ranks();
  Shared shared;
  const std::string text = run_ranks(allreduce_runtime(), ranks, [&](RankThread& self) {
    comm::Group group(self.runtime, self.config(16, 2880));
    AllreduceBuffers buffers(self.context, 16, 2880);
    std::uint64_t seed = 50;
    for (const char* axes : {"out=nvfp4,layout=128x4", "out=sum"}) {
      for (const std::int64_t rows : {1, 3, 16}) {
        const AllreduceCase c{axes, "bf16", ranks, rows, 2880, ++seed, false};
        run_case(self, group, buffers, shared, c);
      }
    }
  });
  CHECK(text.empty());
  if (!text.empty()) WARN(text);
}

}  // namespace fourge::tests
