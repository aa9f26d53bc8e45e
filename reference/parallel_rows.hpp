// Shares out the rows of a matrix over threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

namespace fourge::reference {

// Calls work(first, last) so that every row of [0, rows) is in exactly one range; ranges run on up
// to `threads` threads, the caller's included. work must not throw.
template <class Work>
void parallel_rows(std::int64_t rows, unsigned threads, const Work& work) {
  const auto parts = std::clamp<std::int64_t>(threads, 1, std::max<std::int64_t>(rows, 1));
  const std::int64_t share = (rows + parts - 1) / parts;
  std::vector<std::thread> workers;
  for (std::int64_t first = share; first < rows; first += share) {
    const std::int64_t last = std::min(first + share, rows);
    workers.emplace_back([&work, first, last] { work(first, last); });
  }
  work(std::int64_t{0}, std::min(share, rows));
  for (std::thread& worker : workers) {
    worker.join();
  }
}

}  // namespace fourge::reference
