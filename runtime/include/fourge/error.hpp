// Errors. Everything fourge throws is a fourge::Error: bad input, a failed compile, a driver error, I/O.
// A cache miss or a bad cache entry is not an error. Messages say what was asked, what was found and
// what to do about it. An error is thrown in the thread that made the call, and the objects involved can be
// used again.
#pragma once

#include <fourge/export.hpp>

#include <stdexcept>
#include <string>

namespace fourge {

enum class ErrorKind {
  invalid_spec,      // unknown op, axis, value or target; an illegal combination of axis values
  invalid_argument,  // a shape, pointer, alignment or scalar that the op's contract forbids
  unsupported,       // legal, but this machine cannot do it (no device, device of another target)
  library_missing,   // libnvrtc or libcuda was not found or is too old
  compile_failed,    // NVRTC or the host compiler refused the generated source
  driver,            // the CUDA driver returned an error
  io,                // a file could not be read or written
  internal,          // a defect in fourge
  cancelled,         // a request that was cancelled, or whose Runtime was destroyed
  frozen,            // a miss after Runtime::freeze(), where the policy has no other answer
  peer,              // another rank of a group died, failed, or did not come in time
};

// "invalid_spec", "driver", ... : stable names for logs and JSON.
FOURGE_API const char* to_string(ErrorKind kind) noexcept;

class FOURGE_API Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

// A compiler refused a generated source. what() holds the spec, the options, the log and where the
// source was written.
class FOURGE_API CompileError : public Error {
 public:
  CompileError(const std::string& message, std::string log, std::string source_path)
      : Error(ErrorKind::compile_failed, message),
        log_(std::move(log)),
        source_path_(std::move(source_path)) {}
  const std::string& log() const noexcept { return log_; }
  const std::string& source_path() const noexcept { return source_path_; }

 private:
  std::string log_;
  std::string source_path_;
};

// The CUDA driver returned a status other than success. status() is the CUresult's number.
class FOURGE_API DriverError : public Error {
 public:
  DriverError(const std::string& message, int status)
      : Error(ErrorKind::driver, message), status_(status) {}
  int status() const noexcept { return status_; }

 private:
  int status_;
};

}  // namespace fourge
