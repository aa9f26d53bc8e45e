// A strict reader of Prometheus' text format (version 0.0.4). Stricter than Prometheus where the format
// leaves a choice: HELP and TYPE before each family's samples, one space, no time stamps, no empty lines,
// counters end in _total.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace fourge::tests {

struct MetricFamily {
  std::string help;
  std::string type;
  std::map<std::string, std::string> samples;  // "a=1,b=2", values unquoted -> number as written
  friend bool operator==(const MetricFamily&, const MetricFamily&) = default;
};

struct Exposition {
  std::string problem;  // empty: the text is valid
  std::map<std::string, MetricFamily> families;

  // The number as written, or "" if there is no such sample. A histogram's samples are those of NAME_bucket,
  // NAME_sum and NAME_count: labels "#bucket,le=1", "#sum", "#count".
  std::string value(const std::string& family, const std::string& labels) const;
};

Exposition parse_exposition(std::string_view text);

}  // namespace fourge::tests
