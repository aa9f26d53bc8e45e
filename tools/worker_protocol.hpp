// What `fourge prewarm` and its worker processes say to each other: a spec's text and a newline one
// way, one line of JSON the other.
#pragma once

#include <fourge/runtime.hpp>

#include <optional>
#include <string>

namespace fourge::tools {

struct WorkerAnswer {
  bool ok = false;
  Origin origin = Origin::compiled;  // if ok
  double milliseconds = 0;           // if ok
  bool kept = true;                  // if ok: it is in the cache directory
  std::string error_kind;            // if not ok: fourge::to_string(ErrorKind)
  std::string message;               // if not ok
};

std::string encode(const WorkerAnswer& answer);  // one line, without its end
// Nothing if the line is no answer.
std::optional<WorkerAnswer> decode(const std::string& line);

}  // namespace fourge::tools
