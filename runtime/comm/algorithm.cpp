#include "runtime/comm/algorithm.hpp"

#include <algorithm>
#include <limits>

namespace fourge::comm {
namespace {

// One-shot sends each row to N - 1 peers, two-shot 2 (N - 1) / N of it and waits twice, which costs as much as
// 0.13 MB more would (four H200s). For N > 2 the bytes of x where both take as long are 0.13 MB / ((N - 1) (1 - 2 / N)).
// For N = 2 both send as much and take as long from 32 rows of 7168 on; two-shot with its barriers, which takes
// each byte in once, was as fast between 7 and 14 MiB.
constexpr double kSecondWaitBytes = 0.13e6;
constexpr double kBytesOfTwo = 8 << 20;

}  // namespace

std::int64_t default_one_shot_rows(int ranks, std::int64_t cols) noexcept {
  if (ranks <= 1) return std::numeric_limits<std::int32_t>::max();
  if (cols <= 0) return 0;
  const double n = ranks;
  const double bytes = ranks == 2 ? kBytesOfTwo : kSecondWaitBytes / ((n - 1) * (1 - 2 / n));
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(bytes) / (2 * cols));
}

Algorithm choose_algorithm(Algorithm wanted, int ranks, std::int64_t rows,
                           std::int64_t one_shot_rows) noexcept {
  if (wanted != Algorithm::automatic) return wanted;
  return ranks == 1 || rows <= one_shot_rows ? Algorithm::one_shot : Algorithm::two_shot;
}

const char* to_string(Algorithm algorithm) noexcept {
  switch (algorithm) {
    case Algorithm::automatic:
      return "automatic";
    case Algorithm::one_shot:
      return "one_shot";
    case Algorithm::two_shot:
      return "two_shot";
  }
  return "unknown";
}

std::optional<Algorithm> parse_algorithm(std::string_view text) noexcept {
  for (const Algorithm algorithm :
       {Algorithm::automatic, Algorithm::one_shot, Algorithm::two_shot}) {
    if (text == to_string(algorithm)) return algorithm;
  }
  return std::nullopt;
}

const char* to_string(Transport transport) noexcept {
  switch (transport) {
    case Transport::automatic:
      return "automatic";
    case Transport::peers:
      return "peers";
    case Transport::nccl:
      return "nccl";
  }
  return "unknown";
}

}  // namespace fourge::comm
