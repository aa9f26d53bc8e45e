#include "examples/quantize_server/server_metrics.hpp"

#include <algorithm>
#include <sstream>

namespace quantize_server {
namespace {

void head(std::ostringstream& text, const char* name, const char* help, const char* type) {
  text << "# HELP " << name << ' ' << help << "\n# TYPE " << name << ' ' << type << '\n';
}

}  // namespace

void ServerMetrics::answered(int status) noexcept {
  const auto* found = std::find(kStatuses.begin(), kStatuses.end(), status);
  if (found == kStatuses.end()) found = std::find(kStatuses.begin(), kStatuses.end(), 500);
  ++answers_[static_cast<std::size_t>(found - kStatuses.begin())];
}

void ServerMetrics::quantized(std::size_t elements, std::chrono::nanoseconds took) noexcept {
  const double seconds = std::chrono::duration<double>(took).count();
  const auto* bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  ++buckets_[static_cast<std::size_t>(bound - kBounds.begin())];
  nanoseconds_ += static_cast<std::uint64_t>(took.count());
  elements_ += elements;
}

std::string ServerMetrics::text(const Gauges& gauges) const {
  std::ostringstream text;
  head(text, "quantize_server_answers_total", "Answers to requests to quantize, by status.",
       "counter");
  for (std::size_t i = 0; i < kStatuses.size(); ++i) {
    text << "quantize_server_answers_total{status=\"" << kStatuses[i] << "\"} " << answers_[i]
         << '\n';
  }
  head(text, "quantize_server_elements_total", "Elements quantized.", "counter");
  text << "quantize_server_elements_total " << elements_ << '\n';

  head(text, "quantize_server_seconds", "Time from a request's arrival to its result.",
       "histogram");
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kBounds.size(); ++i) {
    sum += buckets_[i];
    text << "quantize_server_seconds_bucket{le=\"" << kBounds[i] << "\"} " << sum << '\n';
  }
  sum += buckets_.back();
  text << "quantize_server_seconds_bucket{le=\"+Inf\"} " << sum << '\n'
       << "quantize_server_seconds_sum " << static_cast<double>(nanoseconds_) * 1e-9 << '\n'
       << "quantize_server_seconds_count " << sum << '\n';

  head(text, "quantize_server_under_way", "Tensors that wait or are worked on.", "gauge");
  text << "quantize_server_under_way " << gauges.under_way << '\n';
  head(text, "quantize_server_queue_depth", "Requests that wait for a worker.", "gauge");
  text << "quantize_server_queue_depth " << gauges.queue_depth << '\n';
  head(text, "quantize_server_queue_capacity", "Requests that may wait for a worker.", "gauge");
  text << "quantize_server_queue_capacity " << gauges.queue_capacity << '\n';
  head(text, "quantize_server_ready", "1 when all kernels are prepared.", "gauge");
  text << "quantize_server_ready " << (gauges.ready ? 1 : 0) << '\n';
  return text.str();
}

}  // namespace quantize_server
