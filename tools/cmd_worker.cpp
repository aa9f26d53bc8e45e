// fourge worker: compiles what `fourge prewarm` hands it, in a process that may be killed.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <memory>
#include <new>
#include <string_view>

#include "tools/command.hpp"
#include "tools/report.hpp"
#include "tools/worker_protocol.hpp"

namespace fourge::tools {
namespace {

struct WorkerOptions {
  bool unbounded = false;
  bool retry_failed = false;
};

constexpr Origin kOrigins[] = {Origin::disk, Origin::compiled};

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
    answer.kept = failures_to_keep(runtime) == failures;
    return answer;
  } catch (const Error& error) {
    const bool memory =
        std::string_view(error.what()).find("NVRTC_ERROR_OUT_OF_MEMORY") != std::string_view::npos;
    return failed(memory ? kOutOfMemory : to_string(error.kind()), error.what());
  } catch (const std::bad_alloc&) {
    return failed(kOutOfMemory, "an allocation failed");
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

ExitCode serve(const CommonOptions& common, const WorkerOptions& worker) {
  // Answers alone go to the pipe, whatever a library prints.
  const int answers = ::dup(STDOUT_FILENO);
  if (answers < 0 || ::dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
    throw Error(ErrorKind::io, std::strerror(errno));
  }
  Options options = library_options(common);
  if (worker.unbounded) {
    options.cache_byte_limit = 0;
  }
  options.retry_failed = worker.retry_failed;
  Runtime runtime(std::move(options));
  for (std::string line; std::getline(std::cin, line);) {
    if (!write_line(answers, encode(work(runtime, line)))) {
      return ExitCode::failure;  // nobody listens any more
    }
  }
  return ExitCode::ok;
}

}  // namespace

std::string encode(const WorkerAnswer& answer) {
  if (!answer.ok) {
    return one_line({{"ok", false}, {"kind", answer.error_kind}, {"message", answer.message}});
  }
  return one_line({{"ok", true},
                   {"origin", to_string(answer.origin)},
                   {"ms", answer.milliseconds},
                   {"kept", answer.kept}});
}

std::optional<WorkerAnswer> decode(const std::string& line) {
  try {
    const Json document = Json::parse(line);
    WorkerAnswer answer;
    answer.ok = document.at("ok").get<bool>();
    if (!answer.ok) {
      answer.error_kind = document.at("kind").get<std::string>();
      answer.message = document.at("message").get<std::string>();
      return answer;
    }
    for (const Origin origin : kOrigins) {
      if (document.at("origin").get<std::string>() == to_string(origin)) {
        answer.origin = origin;
      }
    }
    answer.milliseconds = document.at("ms").get<double>();
    answer.kept = document.at("kept").get<bool>();
    return answer;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

void add_worker(CLI::App& app, CommandLine& line) {
  CLI::App& command = add_command(app, line, "worker", "Compiles for prewarm");
  command.group("");  // not for people
  auto options = std::make_shared<WorkerOptions>();
  command.add_flag("--unbounded", options->unbounded,
                   "Remove nothing, however large the cache becomes");
  command.add_flag("--retry-failed", options->retry_failed, "Forget what did not compile before");
  command.callback([&line, options] {
    line.action = [&line, options] { return serve(line.common, *options); };
  });
}

}  // namespace fourge::tools
