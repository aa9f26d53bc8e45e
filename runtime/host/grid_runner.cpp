#include "runtime/host/grid_runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <fourge/error.hpp>
#include <system_error>
#include <thread>

#include "runtime/host/block_runner.hpp"

namespace fourge::host {

namespace {

// Runners are kept with their stacks, up to a thousand each, whose mappings cost more than a small launch does: as many as
// two clusters at a time take. The kernel limits mappings.
constexpr std::size_t kMostIdle = 16;

std::uint64_t block_count(const LaunchShape& shape) {
  return std::uint64_t{shape.grid[0]} * shape.grid[1] * shape.grid[2];
}

// CUDA's limits: a launch rule that breaks them would fail on every device.
void check_shape(const Launch& launch) {
  const LaunchShape& s = launch.shape;
  const std::uint64_t threads = std::uint64_t{s.block[0]} * s.block[1] * s.block[2];
  const bool block_fits = threads != 0 && threads <= 1024 && s.block[0] <= 1024 &&
                          s.block[1] <= 1024 && s.block[2] <= 64;
  const bool cluster_fits = s.cluster >= 1 && s.cluster <= 8 && s.grid[0] % s.cluster == 0;
  const bool grid_fits = cluster_fits && block_count(s) != 0 && s.grid[0] <= 0x7FFFFFFFU &&
                         s.grid[1] <= 65535U && s.grid[2] <= 65535U;
  if (!block_fits || !grid_fits) {
    throw Error(
        ErrorKind::internal,
        fmt::format("host execution of {}: a launch of grid ({},{},{}) and block "
                    "({},{},{}) in clusters of {} is beyond CUDA's limits (grid 2147483647 x "
                    "65535 x 65535, block 1024 threads, z 64, whole clusters of at most 8 "
                    "CTAs); look at the op's launch rule",
                    launch.kernel.label, s.grid[0], s.grid[1], s.grid[2], s.block[0], s.block[1],
                    s.block[2], s.cluster));
  }
}

fourge_host::Index3 block_index(const LaunchShape& shape, std::uint64_t number) {
  const std::uint64_t row = number / shape.grid[0];
  return {static_cast<unsigned>(number % shape.grid[0]), static_cast<unsigned>(row % shape.grid[1]),
          static_cast<unsigned>(row / shape.grid[1])};
}

}  // namespace

struct GridRunner::Progress {
  explicit Progress(std::uint64_t count) : end(count) {}

  std::atomic<std::uint64_t> next{0};
  std::atomic<std::uint64_t> end;  // blocks from here on need not run: one before has failed
  std::mutex mutex;
  std::exception_ptr failure;

  // Blocks are taken in order, so the first that fails is always among those taken.
  void fail(std::uint64_t block) {
    const std::lock_guard lock(mutex);
    if (block < end) {
      end = block;
      failure = std::current_exception();
    }
  }
};

GridRunner::GridRunner(unsigned threads) : threads_(std::max(threads, 1U)) {}

GridRunner::~GridRunner() = default;

std::unique_ptr<BlockRunner> GridRunner::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto runner = std::move(idle_.back());
      idle_.pop_back();
      return runner;
    }
  }
  return std::make_unique<BlockRunner>();
}

void GridRunner::give_back(std::unique_ptr<BlockRunner> runner) {
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMostIdle) {
    idle_.push_back(std::move(runner));
  }
}

void GridRunner::run_cluster(const Launch& launch, std::uint64_t first, Progress& progress) {
  Cluster cluster(launch.shape.cluster);
  const auto run_rank = [&](unsigned rank) {
    bool failed = true;
    try {
      auto runner = take();
      runner->run(launch, block_index(launch.shape, first + rank), &cluster, rank);
      give_back(std::move(runner));
      failed = false;
    } catch (const ClusterFailed&) {
      // Recorded where it failed.
    } catch (...) {
      progress.fail(first + rank);
    }
    cluster.leave(failed);
  };
  std::vector<std::thread> others;
  others.reserve(launch.shape.cluster);
  for (unsigned rank = 1; rank < launch.shape.cluster; ++rank) {
    try {
      others.emplace_back(run_rank, rank);
    } catch (const std::system_error&) {
      progress.fail(first + rank);  // a CTA cannot wait for another on the same thread
      cluster.leave(true);
    }
  }
  run_rank(0);
  for (std::thread& other : others) {
    other.join();
  }
}

void GridRunner::work(const Launch& launch, Progress& progress) {
  std::uint64_t block = 0;
  try {
    const std::uint64_t cluster = launch.shape.cluster;
    if (cluster > 1) {
      for (block = progress.next.fetch_add(cluster); block < progress.end;
           block = progress.next.fetch_add(cluster)) {
        run_cluster(launch, block, progress);
      }
      return;
    }
    auto runner = take();
    for (block = progress.next++; block < progress.end; block = progress.next++) {
      try {
        runner->run(launch, block_index(launch.shape, block));
      } catch (...) {
        progress.fail(block);
      }
    }
    give_back(std::move(runner));
  } catch (...) {
    progress.fail(block);  // no memory for a runner
  }
}

void GridRunner::run(const Launch& launch) {
  check_shape(launch);
  const std::uint64_t count = block_count(launch.shape);
  Progress progress(count);
  std::vector<std::thread> helpers;
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(threads_, count)) - 1;
  helpers.reserve(wanted);
  for (std::size_t i = 0; i < wanted; ++i) {
    try {
      helpers.emplace_back([&] { work(launch, progress); });
    } catch (const std::system_error&) {
      break;  // fewer threads do the same work
    }
  }
  work(launch, progress);
  for (std::thread& helper : helpers) {
    helper.join();
  }
  if (progress.failure) {
    std::rethrow_exception(progress.failure);
  }
}

}  // namespace fourge::host
