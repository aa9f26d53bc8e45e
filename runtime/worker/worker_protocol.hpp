// What a worker process (`fourge worker`) and who started it say to each other: a spec's text and a
// newline one way, one line of JSON the other.
#pragma once

#include <fourge/runtime.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace fourge::worker {

// The kind of a build that needed more memory than it may have.
inline constexpr const char* kOutOfMemory = "out_of_memory";
// The kind of a line that is no answer: the program is no worker of ours.
inline constexpr const char* kNoAnswer = "no_answer";
inline constexpr const char* kWorkerDied = "worker_died";

struct WorkerAnswer {
  bool ok = false;
  Origin origin = Origin::compiled;  // if ok
  double milliseconds = 0;           // if ok
  bool kept = true;                  // if ok: it is in the cache directory
  // If not ok: fourge::to_string(ErrorKind), or what the pool adds.
  std::string error_kind;
  std::string message;  // if not ok
  std::string log;      // these two: of a compile that failed
  std::string source_path;
  std::string key;               // if ok: the full key, in hex
  std::vector<std::byte> cubin;  // if ok and not kept
};

std::string encode(const WorkerAnswer& answer);  // one line, without its end
// Nothing if the line is no answer.
std::optional<WorkerAnswer> decode(const std::string& line);

}  // namespace fourge::worker
