// What the server counts about itself, and its text for Prometheus.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace quantize_server {

// What is true now.
struct Gauges {
  std::size_t under_way = 0;
  std::size_t queue_depth = 0;
  std::size_t queue_capacity = 0;
  bool ready = false;
};

// Thread-safe.
class ServerMetrics {
 public:
  // An answer to a request to quantize.
  void answered(int status) noexcept;
  // One that was quantized: from the first look at the request to the answer.
  void quantized(std::size_t elements, std::chrono::nanoseconds took) noexcept;

  std::string text(const Gauges& gauges) const;

 private:
  static constexpr std::array<int, 5> kStatuses{200, 400, 413, 500, 503};
  static constexpr std::array<double, 10> kBounds{0.0005, 0.001, 0.0025, 0.005, 0.01,
                                                  0.025,  0.1,   0.5,    2.5,   10};

  std::array<std::atomic<std::uint64_t>, kStatuses.size()> answers_{};
  std::array<std::atomic<std::uint64_t>, kBounds.size() + 1> buckets_{};
  std::atomic<std::uint64_t> nanoseconds_{0};
  std::atomic<std::uint64_t> elements_{0};
};

}  // namespace quantize_server
