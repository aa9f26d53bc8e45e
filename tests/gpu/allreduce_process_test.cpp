// Processes as ranks: the same bits as threads, and what happens when one is killed.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fourge/error.hpp>
#include <stdexcept>
#include <thread>

#include "runtime/worker/child_process.hpp"
#include "tests/gpu/allreduce_process.hpp"
#include "tests/gpu/allreduce_support.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

constexpr std::int64_t kCols = 2880;
constexpr std::int64_t kRows = 64;
constexpr const char* kAxes = "out=nvfp4,layout=128x4";
constexpr std::chrono::seconds kDeadline{2};
constexpr int kCalls = 1000;
constexpr int kKilledAt = 500;
constexpr int kVictim = 1;

comm::GroupConfig config_of(int rank, int ranks, const comm::UnixRendezvous& meeting) {
  comm::GroupConfig config;
  config.rank = rank;
  config.ranks = ranks;
  config.max_rows = kRows;
  config.one_shot_rows = kRows;
  config.cols = kCols;
  config.transport = comm::Transport::peers;
  config.deadline = kDeadline;
  config.all_gather = meeting.all_gather();
  return config;
}

void run_exact(comm::Group& group, const DeviceContext& context, int rank, int ranks) {
  const Stream stream(context);
  AllreduceBuffers buffers(context, kRows, kCols);
  AllreduceCase c{kAxes, "bf16", ranks, 1, kCols, 5, true};
  for (const char* algorithm : {"one_shot", "two_shot"}) {
    const std::string axes = fmt::format("{},algorithm={}", kAxes, algorithm);
    for (const std::int64_t rows : {std::int64_t{1}, std::int64_t{22}, kRows}) {
      c.rows = rows;
      ++c.seed;
      buffers.prepare(c, rank, stream);
      for (int repeat = 0; repeat < 5; ++repeat) {
        group.allreduce_rmsnorm_quantize(buffers.args(), axes, stream.get());
      }
      stream.synchronize();
      group.check();
      const std::string text = difference(buffers.results(stream), allreduce_expected(c, 4));
      if (!text.empty()) throw std::runtime_error(c.text() + ": " + text);
    }
  }
}

// Ends with the report of the rank that was killed, within the deadline.
void run_killed(comm::Group& group, const DeviceContext& context, int rank, int ranks) {
  const Stream stream(context);
  AllreduceBuffers buffers(context, kRows, kCols);
  const AllreduceCase c{kAxes, "bf16", ranks, 16, kCols, 9, false};
  buffers.prepare(c, rank, stream);
  auto begin = std::chrono::steady_clock::now();
  try {
    for (int call = 0; call < kCalls; ++call) {
      if (rank == kVictim && call == kKilledAt) ::raise(SIGKILL);
      begin = std::chrono::steady_clock::now();
      group.allreduce_rmsnorm_quantize(buffers.args(), kAxes, stream.get());
      if (call % 4 == 3) stream.synchronize();
    }
    stream.synchronize();
    group.check();
  } catch (const Error& error) {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    std::printf("rank %d after %.2f s: %s\n", rank, seconds, error.what());
    const std::string text = error.what();
    if (error.kind() != ErrorKind::peer || text.find("waited for rank 1 ") == std::string::npos) {
      throw std::runtime_error("that is not the error that was expected");
    }
    // The deadline, and a little for the rest of the queue. A hang would last for ever.
    if (seconds > 20) throw std::runtime_error("it took too long");
    return;
  }
  throw std::runtime_error("nobody noticed that a rank was killed");
}

class Processes {
 public:
  Processes(const std::string& scenario, int ranks) {
    directory_ = (std::filesystem::temp_directory_path() / "fourge-ranks-XXXXXX").string();
    if (mkdtemp(directory_.data()) == nullptr) throw std::runtime_error("no directory");
    for (int rank = 0; rank < ranks; ++rank) {
      children_.emplace_back(std::vector<std::string>{
          std::filesystem::read_symlink("/proc/self/exe").string(), "--rank-process", scenario,
          std::to_string(rank), std::to_string(ranks), directory_ + "/s"});
      children_.back().close_input();
    }
  }
  ~Processes() {
    children_.clear();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  // "exit code 0" and what it printed.
  std::string end_of(int rank) {
    worker::ChildProcess& child = children_[static_cast<std::size_t>(rank)];
    std::string text;
    char buffer[4096];
    ssize_t got = 0;
    while ((got = ::read(child.output(), buffer, sizeof(buffer))) > 0) {
      text.append(buffer, static_cast<std::size_t>(got));
    }
    return worker::describe_status(child.wait()) + "\n" + text;
  }

 private:
  std::string directory_;
  std::vector<worker::ChildProcess> children_;
};

// Processes on one device take turns on it, and calls last as long as the driver lets each have it.
bool skipped() {
  if (!ranks_share_devices()) return false;
  WARN("skipped: processes as ranks need a device each; there are " << test_ranks() << " ranks and "
                                                                    << test_devices());
  return true;
}

// So that ranks do not compile while others wait.
void build_kernels(int ranks) {
  const AllreduceCase c{kAxes, "bf16", ranks, 1, kCols, 1, false};
  for (const char* algorithm : {"one_shot", "two_shot"}) {
    allreduce_runtime().build(c.spec(*list_devices().at(0).target, algorithm));
  }
}

}  // namespace

int rank_process(int argc, char* argv[]) {
  if (argc != 4) return 2;
  const std::string scenario = argv[0];
  const int rank = std::atoi(argv[1]);
  const int ranks = std::atoi(argv[2]);
  try {
    Runtime runtime;
    const DeviceContext context(rank);
    const comm::UnixRendezvous meeting(
        {argv[3], rank, ranks, std::chrono::seconds(60), std::nullopt});
    comm::Group group(runtime, config_of(rank, ranks, meeting));
    for (const char* algorithm : {"one_shot", "two_shot"}) {
      group.prepare(fmt::format("{},algorithm={}", kAxes, algorithm));
    }
    group.prepare(kAxes);
    const std::byte token{1};
    meeting.all_gather()(std::span(&token, 1));
    if (scenario == "exact") {
      run_exact(group, context, rank, ranks);
      group.close();
    } else {
      run_killed(group, context, rank, ranks);
    }
    return 0;
  } catch (const std::exception& error) {
    std::printf("rank %d: %s\n", rank, error.what());
    return 1;
  }
}

TEST_CASE("all-reduce: processes as ranks give the reference's bits", "[allreduce]") {
  if (skipped()) return;
  const int ranks = test_ranks();
  build_kernels(ranks);
  Processes processes("exact", ranks);
  for (int rank = 0; rank < ranks; ++rank) {
    CHECK(processes.end_of(rank) == "exit code 0\n");
  }
}

TEST_CASE("all-reduce: when a process is killed, the others report it and end", "[allreduce]") {
  if (skipped()) return;
  const int ranks = test_ranks();
  build_kernels(ranks);
  Processes processes("killed", ranks);
  for (int rank = 0; rank < ranks; ++rank) {
    const std::string end = processes.end_of(rank);
    INFO(end);
    if (rank == kVictim) {
      CHECK(end.rfind("killed by signal 9", 0) == 0);
    } else {
      CHECK(end.rfind("exit code 0\n", 0) == 0);
      CHECK(end.find("waited for rank 1") != std::string::npos);
      WARN(end);
    }
  }
}

}  // namespace fourge::tests
