#include <fourge/allreduce_rmsnorm_quantize.hpp>

#include "tests/jit/op_args.hpp"

#include <limits>
#include <set>

using namespace fourge;
using namespace fourge::tests;
using Args = AllreduceRmsnormQuantizeArgs;

namespace {

Args good_args(int ranks) {
  const auto layout = comm::workspace_layout({ranks, 64, 16, 2048});
  Args args;
  args.x = at<void>(0x1000);
  args.residual = at<void>(0x2000);
  args.weight = at<void>(0x3000);
  args.sum_out = at<void>(0x4000);
  args.residual_out = at<void>(0x5000);
  args.norm_out = at<void>(0x6000);
  args.q = at<std::uint8_t>(0x7000);
  args.scales = at<std::uint8_t>(0x8000);
  args.token_scales = at<float>(0x9000);
  args.rows = 5;
  args.cols = 2048;
  for (int r = 0; r < ranks; ++r) {
    args.peers[r] = at<void>(0x10000U * static_cast<unsigned>(r + 1));
  }
  args.control = at<void>(0xA000);
  args.report = at<void>(0xB000);
  args.slot_bytes = layout.slot_bytes;
  args.input_offset = layout.input_offset;
  args.input_slot_bytes = layout.input_slot_bytes;
  args.result_offset = layout.result_offset;
  args.workspace_bytes = layout.bytes;
  return args;
}

bool refused(const std::string& part, const std::function<void(Args&)>& change,
             const std::string& axes = "[ranks=4,out=nvfp4]") {
  const int ranks = axes.find("ranks=4") != std::string::npos ? 4 : 1;
  const std::string text = refusal_with_axes<Args>(axes, good_args(ranks), change);
  INFO(text);
  CHECK(mentions(text, part));
  return mentions(text, part);
}

}  // namespace

TEST_CASE("allreduce: bad arguments are refused by name", "[allreduce]") {
  CHECK(refused("accepted", [](Args&) {}));
  CHECK(refused("x is a null pointer", [](Args& a) { a.x = nullptr; }));
  CHECK(refused("residual is a null", [](Args& a) { a.residual = nullptr; }));
  CHECK(refused("weight is", [](Args& a) { a.weight = at<void>(0x3010); }));
  CHECK(refused("q is", [](Args& a) { a.q = at<std::uint8_t>(0x7008); }));
  CHECK(refused("scales is a null", [](Args& a) { a.scales = nullptr; }));
  CHECK(refused("accepted", [](Args& a) { a.residual_out = a.norm_out = nullptr; }));
  CHECK(refused("residual_out is", [](Args& a) { a.residual_out = at<void>(0x5008); }));
  CHECK(refused("rows is -1", [](Args& a) { a.rows = -1; }));
  CHECK(refused("cols is 1008", [](Args& a) { a.cols = 1008; }));
  CHECK(refused("cols is 16400", [](Args& a) { a.cols = 16400; }));
  CHECK(refused("cols is 1032", [](Args& a) { a.cols = 1032; }));
  CHECK(refused("eps is", [](Args& a) { a.eps = 0; }));
  CHECK(refused("scale_value is",
                [](Args& a) { a.scale_value = std::numeric_limits<float>::infinity(); }));
  CHECK(refused("rank is 4", [](Args& a) { a.rank = 4; }));
  CHECK(refused("rank is -1", [](Args& a) { a.rank = -1; }));
  CHECK(refused("peers[3] is a null", [](Args& a) { a.peers[3] = nullptr; }));
  CHECK(refused("peers[0] is", [](Args& a) { a.peers[0] = at<void>(0x10040); }));
  CHECK(refused("control is", [](Args& a) { a.control = at<void>(0xA040); }));
  CHECK(refused("report is a null", [](Args& a) { a.report = nullptr; }));
  CHECK(refused("multiprocessors is 0", [](Args& a) { a.multiprocessors = 0; }));
  CHECK(refused("deadline_ns is 0", [](Args& a) { a.deadline_ns = 0; }));
  CHECK(refused("no WorkspaceLayout", [](Args& a) { a.slot_bytes += 128; }));
  CHECK(refused("no WorkspaceLayout", [](Args& a) { a.result_offset -= 128; }));
  CHECK(refused(
      "norm_out is a null", [](Args& a) { a.norm_out = nullptr; }, "[out=norm]"));
  CHECK(refused(
      "sum_out is a null", [](Args& a) { a.sum_out = nullptr; }, "[out=sum]"));
  CHECK(refused(
      "accepted", [](Args& a) { a.residual = a.weight = a.q = nullptr; }, "[out=sum]"));
}

TEST_CASE("allreduce: calls that do not fit into the workspace are refused", "[allreduce]") {
  CHECK(refused("accepted", [](Args& a) { a.rows = 16; }));
  CHECK(refused("more than the workspace takes", [](Args& a) { a.rows = 17; }));
  const char* two = "[ranks=4,algorithm=two_shot,out=nvfp4]";
  CHECK(refused(
      "accepted", [](Args& a) { a.rows = 64; }, two));
  CHECK(refused(
      "more than the workspace takes", [](Args& a) { a.rows = 65; }, two));
  // Fewer columns, more rows; columns that the ranks do not divide need more.
  CHECK(refused(
      "accepted", [](Args& a) { a.rows = 128, a.cols = 1024; }, two));
  CHECK(refused(
      "more than the workspace takes", [](Args& a) { a.rows = 65, a.cols = 2032; }, two));
}

TEST_CASE("allreduce: illegal combinations are refused by name", "[allreduce]") {
  const auto refusal = [](const std::string& axes) {
    return fourge::tests::refusal_of_spec("allreduce_rmsnorm_quantize[" + axes + "]@sm_90a");
  };
  CHECK(mentions(refusal("out=fp8,layout=128x4"), "layout must be linear"));
  CHECK(mentions(refusal("out=norm,layout=8x4"), "layout must be linear"));
  CHECK(mentions(refusal("out=mxfp8,scale=token"), "scale must be tensor"));
  CHECK(mentions(refusal("out=norm,scale=token"), "scale must be tensor"));
  CHECK(mentions(refusal("out=fp8,4over6=mae448"), "4over6 is for out=nvfp4"));
  CHECK(mentions(refusal("out=nvfp4,order=unrounded,4over6=mae448"), "order must be rounded"));
  CHECK(mentions(refusal("out=sum,weight=plus_one"), "no norm"));
  CHECK(refusal("out=norm,order=unrounded,ranks=8") == "accepted");
}

namespace {

// A row's vectors, and its blocks of 16 columns, each taken by exactly one thread of the launch.
bool covers_row(const AllreduceLaunch& launch, std::int64_t cols) {
  const std::int64_t vectors = cols / 8;
  std::vector<int> taken(static_cast<std::size_t>(vectors));
  for (std::int64_t thread = 0; thread < launch.threads; ++thread) {
    for (std::int64_t v = thread; v < vectors; v += launch.threads) {
      ++taken[static_cast<std::size_t>(v)];
    }
  }
  std::vector<int> normed(static_cast<std::size_t>(cols / 16));
  for (std::int64_t thread = 0; thread < launch.threads; ++thread) {
    for (std::int64_t block = thread; block < cols / 16; block += launch.threads) {
      ++normed[static_cast<std::size_t>(block)];
    }
  }
  return std::set<int>(taken.begin(), taken.end()) == std::set<int>{1} &&
         std::set<int>(normed.begin(), normed.end()) == std::set<int>{1};
}

// A multiprocessor has 65536 registers; a kernel for `most` threads uses at most so many of them that these
// fit. As many CTAs as come on each multiprocessor run at once.
bool is_possible(const AllreduceLaunch& launch, std::int64_t cols, int multiprocessors, int most) {
  const unsigned fit = static_cast<unsigned>(most) / launch.threads;
  const auto lanes = static_cast<unsigned>(std::min<std::int64_t>(512, (cols / 16 + 31) / 32 * 32));
  return launch.threads % 32 == 0 && launch.threads <= static_cast<unsigned>(most) &&
         launch.ctas >= 1 && launch.ctas <= fit * static_cast<unsigned>(multiprocessors) &&
         launch.ctas <= static_cast<unsigned>(kAllreduceMostCtas * multiprocessors) &&
         launch.ctas <= comm::kMostCtas && launch.shared_bytes >= cols * 2 &&
         launch.shared_bytes <= 32768 && 2 * launch.threads >= lanes;
}

}  // namespace

TEST_CASE("allreduce: every launch covers all rows and columns, with CTAs that fit",
          "[allreduce]") {
  int launches = 0;
  for (std::int64_t cols = 1024; cols <= 16384; cols += 16) {
    for (const std::int64_t rows : {1, 2, 8, 16, 22, 64, 128, 133, 1024, 2048}) {
      for (const int multiprocessors : {1, 4, 78, 132, 148, 300}) {
        for (const int most : {kAllreduceThreads, kAllreduceThreadsLarge}) {
          ++launches;
          const AllreduceLaunch launch = allreduce_launch(rows, rows, cols, multiprocessors, most);
          const bool covered = rows > 133 || multiprocessors != 132 || covers_row(launch, cols);
          if (!covered || !is_possible(launch, cols, multiprocessors, most)) {
            INFO(rows << " x " << cols << " on " << multiprocessors);
            CHECK(false);
          }
        }
      }
    }
  }
  CHECK(launches == 961 * 120);
}

TEST_CASE("allreduce: the launches of usual shapes", "[allreduce]") {
  const auto shape = [](std::int64_t rows, std::int64_t cols) {
    const AllreduceLaunch launch = allreduce_launch(rows, rows, cols, 132);
    return std::vector<std::uint32_t>{launch.threads, launch.ctas};
  };
  using Row = std::vector<std::uint32_t>;
  CHECK(shape(1, 1024) == Row{128, 528});
  CHECK(shape(1, 2048) == Row{256, 264});
  CHECK(shape(22, 2880) == Row{384, 132});
  CHECK(shape(1, 4096) == Row{512, 132});
  CHECK(shape(64, 7168) == Row{512, 132});
  CHECK(shape(1, 16384) == Row{512, 132});
  CHECK(shape(133, 2880) == Row{128, 528});
  CHECK(shape(2048, 5120) == Row{160, 396});
  CHECK(shape(2048, 7168) == Row{224, 264});
  CHECK(shape(2048, 16384) == Row{256, 264});
}

TEST_CASE("allreduce: the launch follows from the arguments, not from the device", "[allreduce]") {
  Args args = good_args(4);
  args.multiprocessors = 7;
  const char* spec = "allreduce_rmsnorm_quantize[ranks=4,out=nvfp4,layout=128x4]@sm_90a";
  CHECK(launch(spec, args).grid[0] == 14);
  CHECK(launch(spec, args).block[0] == 256);
  CHECK(launch(spec, args).dynamic_shared_bytes == 4096);
  const char* unrounded = "allreduce_rmsnorm_quantize[ranks=4,out=nvfp4,order=unrounded]@sm_90a";
  CHECK(launch(unrounded, args).grid[0] == 7);
  args.rows = 8;
  CHECK(launch(unrounded, args).block[0] == 128);
  CHECK(launch(unrounded, args).grid[0] == 21);
  CHECK(launch("allreduce_rmsnorm_quantize[ranks=4]@sm_90a", args).dynamic_shared_bytes == 0);
  args.rows = 0;
  CHECK(launch(spec, args).empty);
}

TEST_CASE("allreduce: a rank may read its own workspace only", "[allreduce]") {
  Args args = good_args(4);
  args.rank = 2;
  args.norm_out = nullptr;
  const auto list =
      regions("allreduce_rmsnorm_quantize[ranks=4,out=nvfp4,layout=128x4]@sm_90a", args);
  REQUIRE(list.size() == 12);
  CHECK(list[0].bytes == 5 * 4096);
  CHECK(list[4].bytes == 5 * 1024);
  CHECK(list[5].bytes == 128 * 128);
  for (int r = 0; r < 4; ++r) {
    const BufferRegion& peer = list[static_cast<std::size_t>(6 + r)];
    CHECK(peer.bytes == static_cast<std::size_t>(args.workspace_bytes));
    CHECK((peer.access == Access::read_write) == (r == 2));
  }
  CHECK(list[10].name == "control");
  CHECK(regions("allreduce_rmsnorm_quantize@sm_90a", good_args(1)).size() == 5);
}

TEST_CASE("workspace: areas follow one another and do not overlap", "[allreduce]") {
  const auto layout = comm::workspace_layout({4, 2048, 128, 7168});
  CHECK(layout.one_shot_offset == 1024 * 128);
  CHECK(layout.slot_bytes == 128 * 7168 * 2);
  CHECK(layout.input_offset == layout.one_shot_offset + 12 * layout.slot_bytes);
  CHECK(layout.input_slot_bytes == 2048 * 7168 * 2 / 4);
  CHECK(layout.result_offset == layout.input_offset + 4 * layout.input_slot_bytes);
  CHECK(layout.bytes == layout.result_offset + 2048 * 7168 * 2);
  for (int ranks = 1; ranks <= 8; ++ranks) {
    const auto odd = comm::workspace_layout({ranks, 3, 1, 2896});
    CHECK(odd.slot_bytes % 128 == 0);
    CHECK(odd.slot_bytes >= comm::one_shot_slot_bytes(1, 2896));
    CHECK(odd.input_slot_bytes >= comm::two_shot_slot_bytes(ranks, 3, 2896));
    CHECK(odd.input_slot_bytes * ranks >= 3 * 2896 * 2);
    CHECK(odd.result_offset % 128 == 0);
  }
  // Beyond 2^32 bytes.
  CHECK(comm::workspace_layout({8, 1 << 17, 1 << 17, 16384}).slot_bytes == std::int64_t{1} << 32);
}

TEST_CASE("workspace: impossible groups are refused by name", "[allreduce]") {
  const auto refusal = [](const comm::WorkspaceShape& shape) {
    try {
      (void)comm::workspace_layout(shape);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::invalid_argument);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK(mentions(refusal({0, 1, 1, 1024}), "0 ranks"));
  CHECK(mentions(refusal({9, 1, 1, 1024}), "9 ranks"));
  CHECK(mentions(refusal({2, -1, 1, 1024}), "negative"));
  CHECK(mentions(refusal({2, 1, 1, 1000}), "max_cols is 1000"));
  CHECK(mentions(refusal({2, std::int64_t{1} << 40, 1, 16384}), "2^47"));
  CHECK(refusal({2, 0, 0, 1024}) == "accepted");
}
