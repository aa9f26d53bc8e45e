// Runs a grid of blocks on a few OS threads.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "runtime/host/launch.hpp"

namespace fourge::host {

class BlockRunner;

// Thread-safe: launches may run at the same time.
class GridRunner {
 public:
  // threads: the most OS threads of one launch, the caller's included; at least 1.
  explicit GridRunner(unsigned threads);
  ~GridRunner();
  GridRunner(const GridRunner&) = delete;
  GridRunner& operator=(const GridRunner&) = delete;

  // Returns when all blocks are done. Throws Error(internal) if a block fails: that of the first
  // such block in x, y, z order, whatever the number of threads. Blocks after it may or may not
  // have run.
  void run(const Launch& launch);

 private:
  struct Progress;

  void work(const Launch& launch, Progress& progress);
  void run_cluster(const Launch& launch, std::uint64_t first, Progress& progress);
  std::unique_ptr<BlockRunner> take();
  void give_back(std::unique_ptr<BlockRunner> runner);

  unsigned threads_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<BlockRunner>> idle_;
};

}  // namespace fourge::host
