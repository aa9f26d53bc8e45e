// What `fourge prewarm` and its worker processes say to each other: a spec's text and a newline one
// way, one line of JSON the other.
#pragma once

#include <fourge/runtime.hpp>

#include <optional>
#include <string>

namespace fourge::tools {

// The kind of a build that needed more memory than it may have.
inline constexpr const char* kOutOfMemory = "out_of_memory";

struct WorkerAnswer {
  bool ok = false;
  Origin origin = Origin::compiled;  // if ok
  double milliseconds = 0;           // if ok
  bool kept = true;                  // if ok: it is in the cache directory
  // If not ok: fourge::to_string(ErrorKind), or what the pool adds.
  std::string error_kind;
  std::string message;  // if not ok
};

std::string encode(const WorkerAnswer& answer);  // one line, without its end
// Nothing if the line is no answer.
std::optional<WorkerAnswer> decode(const std::string& line);

}  // namespace fourge::tools
