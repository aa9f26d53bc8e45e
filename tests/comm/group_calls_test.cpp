// Calls of groups, on a make-believe libcuda: what is launched with what, by which algorithm, and what NCCL
// is asked for.
#include <fourge/rmsnorm_quantize.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <set>

#include "runtime/comm/algorithm.hpp"
#include "tests/comm/group_support.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

using comm::Algorithm;
using comm::GroupConfig;
using comm::Transport;
using Args = AllreduceRmsnormQuantizeArgs;

template <class T>
T* at(std::uintptr_t address) {
  return reinterpret_cast<T*>(address << 20U);
}

Args some_args(std::int64_t rows) {
  Args args;
  args.x = at<void>(1);
  args.residual = at<void>(2);
  args.weight = at<void>(3);
  args.sum_out = at<void>(4);
  args.residual_out = at<void>(5);
  args.norm_out = at<void>(6);
  args.q = at<std::uint8_t>(7);
  args.scales = at<std::uint8_t>(8);
  args.token_scales = at<float>(9);
  args.scale_value = 448.0F;
  args.rows = rows;
  args.cols = 1024;
  return args;
}

// Shared by the whole program, so that each kernel is compiled once.
Runtime& shared_runtime() {
  static const Scratch scratch;
  static Runtime runtime([] {
    Options options = group_options(scratch);
    return options;
  }());
  return runtime;
}

// The fake notes the parameters of this operation.
FakeCuda& fake_for(const OpDefinition& op) {
  FakeCuda& fake = reset_for_groups();
  fake.param_count = op.params.size();
  for (std::size_t i = 0; i < op.params.size(); ++i) {
    fake.params[i] = {op.params[i].offset, op.params[i].size};
  }
  return fake;
}

// The argument struct as it was launched.
template <class Struct>
Struct launched(const FakeLaunch& launch, const OpDefinition& op) {
  Struct args;
  for (std::size_t i = 0; i < op.params.size(); ++i) {
    std::memcpy(reinterpret_cast<std::byte*>(&args) + op.params[i].offset, launch.values[i].data(),
                op.params[i].size);
  }
  return args;
}

void check_no_failure(const std::vector<Failure>& failures) {
  for (const Failure& failure : failures) {
    INFO(failure.text);
    CHECK_FALSE(failure.thrown);
  }
}

Failure call_failure(comm::Group& group, const Args& args, const std::string& axes) {
  return failure_of([&] { group.allreduce_rmsnorm_quantize(args, axes, nullptr); });
}

}  // namespace

TEST_CASE("group calls: every rank launches with its own memory and that of all peers", "[comm]") {
  const OpDefinition& op = allreduce_rmsnorm_quantize_op();
  FakeCuda& fake = fake_for(op);
  fake.devices[1].multiprocessors = 100;
  auto* const stream = reinterpret_cast<CUstream_st*>(CU_STREAM_PER_THREAD);
  check_no_failure(run_group(
      shared_runtime(), 3,
      [](GroupConfig& config) {
        config.one_shot_rows = 4;
        config.deadline = std::chrono::milliseconds(1500);
      },
      [&](comm::Group& group, int) {
        group.prepare("");
        group.allreduce_rmsnorm_quantize(some_args(4), "", stream);
      }));
  REQUIRE(fake.launch_count == 3);
  std::map<int, Args> of_rank;
  for (std::size_t i = 0; i < 3; ++i) {
    const FakeLaunch& launch = fake.launches[i];
    const Args args = launched<Args>(launch, op);
    of_rank[args.rank] = args;
    CHECK(launch.config.hStream == CU_STREAM_PER_THREAD);
    CHECK(launch.config.gridDimX == fake.launches[0].config.gridDimX);
    CHECK(launch.config.blockDimX == fake.launches[0].config.blockDimX);
  }
  REQUIRE(of_rank.size() == 3);
  const comm::WorkspaceLayout layout = comm::workspace_layout({3, 8, 4, 1024});
  std::set<void*> own;
  for (const auto& [rank, args] : of_rank) {
    CHECK(std::equal(args.peers, args.peers + 3, of_rank[0].peers));
    CHECK(args.peers[3] == nullptr);
    CHECK(args.multiprocessors == 100);
    CHECK(args.deadline_ns == 1'500'000'000);
    CHECK(args.slot_bytes == layout.slot_bytes);
    CHECK(args.input_offset == layout.input_offset);
    CHECK(args.input_slot_bytes == layout.input_slot_bytes);
    CHECK(args.result_offset == layout.result_offset);
    CHECK(args.workspace_bytes == layout.bytes);
    CHECK(args.x == some_args(4).x);
    CHECK(args.rows == 4);
    own.insert({args.control, args.report, args.peers[rank]});
  }
  CHECK(own.size() == 9);
  CHECK(fake.live() == 0);
}

TEST_CASE("group calls: the algorithm follows from the rows, the configuration or the axes",
          "[comm]") {
  fake_for(allreduce_rmsnorm_quantize_op());
  check_no_failure(run_group(
      shared_runtime(), 4, [](GroupConfig& config) { config.one_shot_rows = 3; },
      [](comm::Group& group, int) {
        for (std::int64_t rows = 0; rows <= 8; ++rows) {
          group.allreduce_rmsnorm_quantize(some_args(rows), "", nullptr);
        }
        const bool chosen =
            group.algorithm(3) == Algorithm::one_shot && group.algorithm(4) == Algorithm::two_shot;
        comm::GroupStats stats = group.stats();
        if (!chosen || stats.one_shot != 3 || stats.two_shot != 5 || stats.nccl != 0) {
          throw Error(ErrorKind::internal, "wrong choice");
        }
        group.allreduce_rmsnorm_quantize(some_args(1), "algorithm=two_shot", nullptr);
        stats = group.stats();
        if (stats.two_shot != 6) throw Error(ErrorKind::internal, "axes were not looked at");
        const Failure failure = call_failure(group, some_args(4), "algorithm=one_shot");
        if (failure.kind != ErrorKind::invalid_argument || !failure.says("one_shot_rows")) {
          throw Error(ErrorKind::internal, "not refused: " + failure.text);
        }
      }));
  check_no_failure(run_group(
      shared_runtime(), 2, [](GroupConfig& config) { config.algorithm = Algorithm::two_shot; },
      [](comm::Group& group, int) {
        group.allreduce_rmsnorm_quantize(some_args(1), "", nullptr);
        if (group.stats().two_shot != 1 || group.algorithm(1) != Algorithm::two_shot) {
          throw Error(ErrorKind::internal, "the configuration was not looked at");
        }
      }));
}

TEST_CASE("group calls: what does not fit the group is refused before anything is launched",
          "[comm]") {
  FakeCuda& fake = fake_for(allreduce_rmsnorm_quantize_op());
  std::vector<std::pair<Failure, std::string>> failures;
  check_no_failure(run_group(shared_runtime(), 1, nothing, [&](comm::Group& group, int) {
    Args args = some_args(9);
    failures.emplace_back(call_failure(group, args, ""),
                          "rows is 9; the group's workspace was made for at most 8");
    args.rows = -1;
    failures.emplace_back(call_failure(group, args, ""), "rows is -1");
    args = some_args(1);
    args.cols = 2048;
    failures.emplace_back(call_failure(group, args, ""),
                          "cols is 2048; the group was made for 1024");
    args = some_args(1);
    args.x = nullptr;
    failures.emplace_back(call_failure(group, args, ""), "x");
    failures.emplace_back(call_failure(group, some_args(1), "ranks=2"), "ranks=1");
    failures.emplace_back(call_failure(group, some_args(1), "in=f16"), "in=bf16");
    failures.emplace_back(call_failure(group, some_args(1), "out=nonsense"), "nonsense");
  }));
  for (const auto& [failure, part] : failures) {
    INFO(failure.text);
    CHECK(failure.thrown);
    CHECK((failure.kind == ErrorKind::invalid_argument || failure.kind == ErrorKind::invalid_spec));
    CHECK(failure.says(part));
  }
  CHECK(fake.launch_count == 0);
}

TEST_CASE("group calls: what a kernel reported is said by check() and by every later call",
          "[comm]") {
  FakeCuda& fake = fake_for(allreduce_rmsnorm_quantize_op());
  ThreadGather barrier(2);
  check_no_failure(run_group(shared_runtime(), 2, nothing, [&](comm::Group& group, int rank) {
    const std::byte token{0};
    const auto wait = [&] { barrier.of_rank(rank)(std::span(&token, 1)); };
    group.allreduce_rmsnorm_quantize(some_args(1), "", nullptr);
    group.check();
    wait();
    if (rank == 0) {
      // Both ranks' reports.
      const std::lock_guard lock(fake.memory_mutex);
      for (FakeAllocation& allocation : fake.memory) {
        if (!allocation.host) continue;
        comm::Report report{};
        report.magic = comm::kReportMagic;
        report.rank = 1;
        report.kind = comm::WaitKind::result_barrier;
        report.cta = 17;
        report.call = 41;
        report.waited_ns = 30'500'000'000;
        std::memcpy(allocation.pointer, &report, sizeof(report));
      }
    }
    wait();
    for (int repeat = 0; repeat < 2; ++repeat) {
      for (const Failure& failure :
           {failure_of([&] { group.check(); }), call_failure(group, some_args(1), "")}) {
        const bool right = failure.kind == ErrorKind::peer && failure.says("waited for rank 1") &&
                           failure.says("the deadline of 30000 ms") && failure.says("call 41") &&
                           failure.says("its sums") && failure.says("CTA 17, 30500 ms");
        if (!right) throw Error(ErrorKind::internal, "wrong: " + failure.text);
      }
    }
  }));
  CHECK(fake.launch_count == 2);
}

TEST_CASE("group calls: with NCCL the sum comes first, then rmsnorm_quantize", "[comm]") {
  const OpDefinition& op = rmsnorm_quantize_op();
  FakeCuda& fake = fake_for(op);
  FakeNccl& nccl = reset_nccl();
  auto* const stream = reinterpret_cast<CUstream_st*>(CU_STREAM_PER_THREAD);
  check_no_failure(run_group(
      shared_runtime(), 1,
      [](GroupConfig& config) {
        config.transport = Transport::nccl;
        config.dtype = "f16";
      },
      [&](comm::Group& group, int) {
        group.prepare("out=nvfp4,layout=128x4");
        group.allreduce_rmsnorm_quantize(some_args(5), "out=nvfp4,layout=128x4", stream);
        group.allreduce_rmsnorm_quantize(some_args(0), "out=nvfp4,layout=128x4", stream);
        group.allreduce_rmsnorm_quantize(some_args(3), "out=sum", stream);
        Args args = some_args(2);
        args.residual_out = nullptr;
        args.q = nullptr;
        group.allreduce_rmsnorm_quantize(args, "out=norm,weight=plus_one", stream);
        args.weight = nullptr;
        if (!call_failure(group, args, "out=norm,weight=plus_one").says("weight")) {
          throw Error(ErrorKind::internal, "a null weight was taken");
        }
        args = some_args(2);
        args.sum_out = nullptr;
        if (!call_failure(group, args, "out=sum").says("sum_out")) {
          throw Error(ErrorKind::internal, "a null sum_out was taken");
        }
        if (group.stats().nccl != 3) throw Error(ErrorKind::internal, "not counted");
      }));
  REQUIRE(nccl.call_count == 3);
  REQUIRE(fake.launch_count == 2);
  const auto first = launched<RmsnormQuantizeArgs>(fake.launches[0], op);
  CHECK(nccl.calls[0].from == some_args(5).x);
  CHECK(nccl.calls[0].to == first.x);
  CHECK(nccl.calls[0].count == 5 * 1024);
  CHECK(nccl.calls[0].type == 6);  // f16
  CHECK(nccl.calls[0].operation == 0);
  CHECK(nccl.calls[0].stream == stream);
  CHECK(first.q == some_args(5).q);
  CHECK(first.residual_out == some_args(5).residual_out);
  CHECK(first.scale_value == 448.0F);
  CHECK(first.rows == 5);
  CHECK(nccl.calls[1].to == some_args(3).sum_out);
  const auto norm = launched<RmsnormQuantizeArgs>(fake.launches[1], op);
  CHECK(norm.norm_out == some_args(2).norm_out);
  CHECK(norm.residual_out != nullptr);
  CHECK(norm.residual_out != norm.x);
  CHECK(norm.q != nullptr);
  CHECK(norm.rows == 2);
  CHECK(fake.live() == 0);
}

TEST_CASE("the choice of an algorithm is a table", "[comm]") {
  struct Row {
    int ranks;
    std::int64_t cols;
    std::int64_t one_shot_rows;
  };
  constexpr std::int64_t kAll = std::numeric_limits<std::int32_t>::max();
  // 8 MiB of x for two ranks, 0.13 MB / ((N - 1) (1 - 2 / N)) for more, at two bytes an element.
  constexpr Row kRows[] = {{1, 7168, kAll}, {2, 1024, 4096}, {2, 16384, 256}, {3, 7168, 13},
                           {4, 1024, 42},   {4, 7168, 6},    {4, 16384, 2},   {5, 7168, 3},
                           {6, 7168, 2},    {7, 7168, 2},    {8, 1024, 12},   {8, 7168, 1},
                           {8, 16384, 1}};
  for (const Row& row : kRows) {
    INFO(row.ranks << " ranks, " << row.cols << " columns");
    CHECK(comm::default_one_shot_rows(row.ranks, row.cols) == row.one_shot_rows);
    for (const std::int64_t rows : {std::int64_t{1}, row.one_shot_rows, row.one_shot_rows + 1}) {
      const bool one_shot = rows <= row.one_shot_rows || row.ranks == 1;
      CHECK(comm::choose_algorithm(Algorithm::automatic, row.ranks, rows, row.one_shot_rows) ==
            (one_shot ? Algorithm::one_shot : Algorithm::two_shot));
      for (const Algorithm given : {Algorithm::one_shot, Algorithm::two_shot}) {
        CHECK(comm::choose_algorithm(given, row.ranks, rows, row.one_shot_rows) == given);
      }
    }
  }
  for (const Algorithm algorithm :
       {Algorithm::automatic, Algorithm::one_shot, Algorithm::two_shot}) {
    CHECK(comm::parse_algorithm(comm::to_string(algorithm)) == algorithm);
  }
  CHECK_FALSE(comm::parse_algorithm("three_shot"));
}

}  // namespace fourge::tests
