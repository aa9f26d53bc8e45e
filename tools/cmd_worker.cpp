// fourge worker: compiles what `fourge prewarm` or a Runtime hands it, in a process that may be killed.
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <memory>
#include <new>
#include <string_view>

#include "runtime/worker/worker_protocol.hpp"
#include "tools/command.hpp"
#include "tools/report.hpp"

namespace fourge::tools {
namespace {

using worker::WorkerAnswer;

struct WorkerOptions {
  bool no_cache = false;
  bool retry_failed = false;
  bool no_promote = false;
  std::int64_t compile_wait = Options().compile_wait.count();
  std::int64_t stuck_after = Options().stuck_after.count();
};

WorkerAnswer failed(const char* kind, const char* message) {
  WorkerAnswer answer;
  answer.error_kind = kind;
  answer.message = message;
  return answer;
}

std::uint64_t failures_to_keep(const Runtime& runtime) {
  const Stats stats = runtime.stats();
  return stats.publish_failures + stats.promotion_failures;
}

WorkerAnswer work(Runtime& runtime, const std::string& text) {
  try {
    const auto failures = failures_to_keep(runtime);
    const auto artifact = runtime.build(KernelSpec::parse(text));
    WorkerAnswer answer;
    answer.ok = true;
    answer.origin = artifact->origin;
    answer.milliseconds = milliseconds(artifact->took);
    answer.kept =
        !runtime.options().cache_directory.empty() && failures_to_keep(runtime) == failures;
    answer.key = artifact->key;
    if (!answer.kept) {
      answer.cubin = artifact->cubin;
    }
    return answer;
  } catch (const Error& error) {
    const bool memory =
        std::string_view(error.what()).find("NVRTC_ERROR_OUT_OF_MEMORY") != std::string_view::npos;
    WorkerAnswer answer =
        failed(memory ? worker::kOutOfMemory : to_string(error.kind()), error.what());
    if (const auto* refused = dynamic_cast<const CompileError*>(&error)) {
      answer.log = refused->log();
      answer.source_path = refused->source_path();
    }
    return answer;
  } catch (const std::bad_alloc&) {
    return failed(worker::kOutOfMemory, "an allocation failed");
  } catch (const std::exception& error) {
    return failed(to_string(ErrorKind::internal), error.what());
  }
}

bool write_line(int descriptor, std::string line) {
  line += '\n';
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor, rest.data(), rest.size());
    if (written < 0 && errno != EINTR) {
      return false;
    }
    rest.remove_prefix(written < 0 ? 0 : static_cast<std::size_t>(written));
  }
  return true;
}

ExitCode serve(const CommonOptions& common, const WorkerOptions& given) {
  // Answers alone go to the pipe, whatever a library prints.
  const int answers = ::dup(STDOUT_FILENO);
  if (answers < 0 || ::dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
    throw Error(ErrorKind::io, std::strerror(errno));
  }
  Options options = library_options(common);
  if (given.no_cache) {
    options.cache_directory.clear();
  }
  options.retry_failed = given.retry_failed;
  options.cache_promote = !given.no_promote;
  options.compile_wait = std::chrono::milliseconds(given.compile_wait);
  options.stuck_after = std::chrono::milliseconds(given.stuck_after);
  Runtime runtime(std::move(options));
  for (std::string line; std::getline(std::cin, line);) {
    if (!write_line(answers, worker::encode(work(runtime, line)))) {
      return ExitCode::failure;  // nobody listens any more
    }
  }
  return ExitCode::ok;
}

}  // namespace

void add_worker(CLI::App& app, CommandLine& line) {
  CLI::App& command = add_command(app, line, "worker", "Compiles for prewarm and for runtimes");
  command.group("");  // not for people
  auto options = std::make_shared<WorkerOptions>();
  command.add_flag("--no-cache", options->no_cache, "Use no cache directory");
  command.add_flag("--retry-failed", options->retry_failed, "Forget what did not compile before");
  command.add_flag("--no-promote", options->no_promote,
                   "Leave what a read-only cache has where it is");
  command.add_option("--compile-wait", options->compile_wait,
                     "Milliseconds to wait for another process that compiles the same kernel");
  command.add_option(
      "--stuck-after", options->stuck_after,
      "Milliseconds after which a process that compiles and stands still is replaced");
  command.callback([&line, options] {
    line.action = [&line, options] { return serve(line.common, *options); };
  });
}

}  // namespace fourge::tools
