// Stats as text for Prometheus, to be served by whatever HTTP server the program has
// (examples/quantize_server does).
// Pure functions of what they are given: any thread may call them.
#pragma once

#include <fourge/export.hpp>
#include <fourge/stats.hpp>

#include <span>
#include <string>
#include <string_view>

namespace fourge {

struct MetricLabel {
  std::string_view name;   // [a-zA-Z_][a-zA-Z0-9_]*, and none of tier, cause
  std::string_view value;  // any UTF-8; quoted here
};

inline constexpr std::string_view kPrometheusContentType =
    "text/plain; version=0.0.4; charset=utf-8";

// All counters, each with HELP and TYPE, names beginning with fourge_; times are in seconds. The labels
// are put on every sample, to tell several Runtimes of a process apart (then join the texts by family:
// the format wants HELP and TYPE once). Throws Error(invalid_argument) for a label whose name is not one.
FOURGE_API std::string prometheus_text(const Stats& stats,
                                       std::span<const MetricLabel> labels = {});

}  // namespace fourge
