// What the exit status of every command means. Documented in the help text.
#pragma once

#include <fourge/error.hpp>

namespace fourge::tools {

enum class ExitCode : int {
  ok = 0,
  negative = 1,        // the answer is no: verification found a difference, a bad cache entry
  bad_input = 2,       // usage, a spec, an argument or an input file
  environment = 3,     // something is missing here: NVRTC, the GPU asked for, a disassembler
  compile_failed = 4,  // a compiler refused a generated source, or a worker process died
  failure = 5,         // the CUDA driver, input/output, a defect
  interrupted = 6,     // ended early by SIGINT or SIGTERM; what was done so far is in the output
};

inline ExitCode exit_code_of(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::invalid_spec:
    case ErrorKind::invalid_argument:
      return ExitCode::bad_input;
    case ErrorKind::unsupported:
    case ErrorKind::library_missing:
      return ExitCode::environment;
    case ErrorKind::compile_failed:
      return ExitCode::compile_failed;
    case ErrorKind::driver:
    case ErrorKind::io:
    case ErrorKind::internal:
    case ErrorKind::cancelled:
    case ErrorKind::frozen:
    case ErrorKind::peer:
      return ExitCode::failure;
  }
  return ExitCode::failure;
}

inline constexpr const char* kExitCodeHelp =
    "Exit codes:\n"
    "  0  done\n"
    "  1  the answer is no: a result differs from the reference, a cache entry is bad\n"
    "  2  bad usage or bad input\n"
    "  3  something is missing here: NVRTC, the GPU asked for, a disassembler\n"
    "  4  a compile failed\n"
    "  5  the CUDA driver, input or output failed\n"
    "  6  a benchmark, a search or prewarm was interrupted; what it had is printed or kept";

}  // namespace fourge::tools
