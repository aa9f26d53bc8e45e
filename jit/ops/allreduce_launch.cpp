// The launch of allreduce_rmsnorm_quantize.
#include <fourge/allreduce_rmsnorm_quantize.hpp>

#include <algorithm>

#include "jit/ops/row_launch.hpp"

namespace fourge {

// The kernel is compiled for most_threads a CTA and so for as many on a multiprocessor at least: that many
// are at work at once. With few rows each gets a multiprocessor; with many, small CTAs take turns
// waiting. All multiprocessors take part, as clearing and padding are spread over them.
AllreduceLaunch allreduce_launch(std::int64_t rows, std::int64_t padded_rows, std::int64_t cols,
                                 int multiprocessors, int most_threads) {
  constexpr std::int64_t kBlock = 16;  // columns of a lane
  constexpr std::int64_t kVector = 8;  // columns of a thread while rows are exchanged
  constexpr std::int64_t kMostLanes = 512;
  constexpr std::int64_t kSmallCta = 128;
  // The CTAs of a row are no smaller: it has 1024 columns at least.
  static_assert(kAllreduceThreads / kSmallCta == kAllreduceMostCtas);
  // A thread norms one lane of a row or two: see rmsnorm_quantize.hpp.
  const std::int64_t lanes = std::min(kMostLanes, jit::round_up((cols + kBlock - 1) / kBlock, 32));
  const std::int64_t least = jit::round_up(lanes / 2, 32);
  const std::int64_t wanted = std::max(rows, padded_rows) <= 0        ? least
                              : rows <= std::int64_t{multiprocessors} ? cols / kVector
                                                                      : kSmallCta;
  const std::int64_t threads =
      std::clamp<std::int64_t>(jit::round_up(wanted, 32), least, std::int64_t{most_threads});
  const std::int64_t ctas =
      std::min<std::int64_t>(comm::kMostCtas, multiprocessors * (most_threads / threads));
  AllreduceLaunch launch{};
  launch.threads = static_cast<std::uint32_t>(threads);
  launch.ctas = static_cast<std::uint32_t>(ctas);
  launch.shared_bytes = static_cast<std::uint32_t>(cols * 2);
  return launch;
}

}  // namespace fourge
