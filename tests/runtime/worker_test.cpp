// Compiles of the background in worker processes: results, deadlines, death, cancelling; and the history
// of what a Runtime was asked for.
#include <fourge/runtime.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "cache/history_log.hpp"
#include "runtime/worker/worker_command.hpp"
#include "runtime/worker/worker_process.hpp"
#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/faulty_nvrtc.hpp"

namespace fourge::tests {
namespace {

KernelSpec spec_of(const char* text) { return KernelSpec::parse(text, Target::parse("sm_90a")); }

Options with_workers(const Scratch& scratch) {
  Options options = with_faulty_nvrtc(scratch.options());
  options.worker_program = FOURGE_COMMAND;
  options.worker_environment.push_back(std::string("FOURGE_FAKE_NVRTC_REAL=") +
                                       ::getenv("FOURGE_FAKE_NVRTC_REAL"));
  return options;
}

Options with_fault(Options options, const std::string& fault) {
  options.worker_environment.push_back("FOURGE_FAKE_NVRTC_FAULT=" + fault);
  return options;
}

// "PID (NAME) STATE PARENT ...": what follows the name; empty if there is no such process.
std::string stat_of(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(file, text);
  const std::size_t end = text.rfind(')');
  return end == std::string::npos || end + 4 > text.size() ? std::string() : text.substr(end + 2);
}

char state_of(pid_t process) {
  const std::string stat = stat_of(process);
  return stat.empty() ? '?' : stat.front();
}

pid_t worker_of_this_process() {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto process =
        static_cast<pid_t>(std::strtol(entry.path().filename().c_str(), nullptr, 10));
    const std::string stat = process > 0 ? stat_of(process) : std::string();
    if (!stat.empty() && std::strtol(stat.c_str() + 2, nullptr, 10) == ::getpid()) {
      return process;
    }
  }
  return -1;
}

struct Failed {
  ErrorKind kind = ErrorKind::internal;
  std::string message;
};

Failed failure_of(const PendingArtifact& pending) {
  try {
    pending.get();
  } catch (const Error& error) {
    return {error.kind(), error.what()};
  }
  return {};
}

}  // namespace

TEST_CASE("a worker process compiles for the background", "[worker]") {
  const Scratch scratch;
  LogLines log;
  Options options = with_workers(scratch);
  options.log = log.sink();
  Runtime runtime(options);
  const auto artifact = runtime.build_async(spec_of("row_amax")).get();
  INFO(log.all());
  CHECK(artifact->origin == Origin::compiled);
  CHECK(runtime.stats().worker_compiles == 1);
  CHECK(runtime.stats().compiles == 0);
  CHECK(scratch.files(".fourge").size() == 1);
  CHECK(runtime.build_async(spec_of("row_amax[tpr=32]")).get()->origin == Origin::compiled);
  CHECK(log.count(LogLevel::warn) == 0);
  // The same bytes as here.
  const Scratch other;
  CHECK(Runtime(with_faulty_nvrtc(other.options())).build(spec_of("row_amax"))->cubin ==
        artifact->cubin);
}

TEST_CASE("what no cache directory takes comes back through the pipe", "[worker]") {
  const Scratch scratch;
  Options options = with_workers(scratch);
  options.cache_directory.clear();
  Runtime runtime(options);
  const auto artifact = runtime.build_async(spec_of("row_amax")).get();
  CHECK(runtime.stats().worker_compiles == 1);
  CHECK(runtime.stats().compiles == 0);
  CHECK(artifact->cubin.size() > 1000);
}

TEST_CASE("a worker that hangs or dies fails its request only", "[worker]") {
  const Scratch scratch;
  {
    Options options = with_fault(with_workers(scratch), "hang");
    options.worker_deadline = std::chrono::milliseconds(500);
    Runtime runtime(options);
    const Failed late = failure_of(runtime.build_async(spec_of("row_amax")));
    CHECK(late.kind == ErrorKind::compile_failed);
    CHECK(late.message.find("not built within 0.5 s") != std::string::npos);
  }
  {
    Runtime runtime(with_fault(with_workers(scratch), "crash"));
    for (int i = 0; i < 2; ++i) {
      const Failed dead = failure_of(runtime.build_async(spec_of("row_amax")));
      CHECK(dead.kind == ErrorKind::compile_failed);
      CHECK(dead.message.find("killed by signal 6") != std::string::npos);
    }
  }
  {
    Runtime runtime(with_fault(with_workers(scratch), "fail"));
    const Failed refused = failure_of(runtime.build_async(spec_of("row_amax")));
    CHECK(refused.kind == ErrorKind::compile_failed);
    CHECK(refused.message.find("refused on purpose") != std::string::npos);
  }
  Options again = with_workers(scratch);
  again.retry_failed = true;
  CHECK(Runtime(again).build_async(spec_of("row_amax")).get()->origin == Origin::compiled);
}

TEST_CASE("a request is cancelled, and a Runtime ends, while workers hang", "[worker]") {
  const Scratch scratch;
  const std::string calls = scratch.path() + "/calls";
  PendingArtifact left;
  {
    Options options = with_fault(with_workers(scratch), "hang");
    options.worker_environment.push_back("FOURGE_FAKE_NVRTC_CALLS=" + calls);
    Runtime runtime(options);
    const PendingArtifact pending = runtime.build_async(spec_of("row_amax"));
    for (int i = 0; i < 3000 && !std::filesystem::exists(calls); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    REQUIRE(std::filesystem::exists(calls));
    pending.cancel();
    CHECK(failure_of(pending).kind == ErrorKind::cancelled);
    left = runtime.build_async(spec_of("row_amax[tpr=32]"));
  }
  CHECK(failure_of(left).kind == ErrorKind::cancelled);
}

TEST_CASE("a worker waits for others as long as its Runtime would", "[worker]") {
  const Scratch scratch;
  const std::string calls = scratch.path() + "/calls";
  Options stuck = with_fault(with_workers(scratch), "hang");
  stuck.worker_environment.push_back("FOURGE_FAKE_NVRTC_CALLS=" + calls);
  Runtime holder(stuck);
  const PendingArtifact held = holder.build_async(spec_of("row_amax"));
  for (int i = 0; i < 3000 && !std::filesystem::exists(calls); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  REQUIRE(std::filesystem::exists(calls));
  // The other one lives, and holds the kernel's lock; the default is two minutes.
  Options patient = with_workers(scratch);
  patient.compile_wait = std::chrono::milliseconds(400);
  Runtime runtime(patient);
  const PendingArtifact pending = runtime.build_async(spec_of("row_amax"));
  REQUIRE(pending.wait_for(std::chrono::seconds(60)));
  CHECK(pending.get()->origin == Origin::compiled);
  CHECK(runtime.stats().worker_compiles == 1);
  CHECK_FALSE(held.ready());
}

TEST_CASE("a worker leaves what a read-only cache has, if its Runtime would", "[worker]") {
  const Scratch filled;
  Runtime(with_faulty_nvrtc(filled.options())).build(spec_of("row_amax"));
  for (const bool promote : {true, false}) {
    const Scratch scratch;
    Options options = with_workers(scratch);
    options.cache_read_only = {filled.cache()};
    options.cache_promote = promote;
    const auto settings = worker::worker_settings(options, 1);
    worker::WorkerProcess process(settings);
    const KernelSpec spec = spec_of("row_amax");
    process.hand_out(spec);
    worker::WorkerAnswer answer;
    while (process.read(answer) == worker::WorkerProcess::State::waiting) {
    }
    process.finish_spec();
    CHECK(answer.ok);
    CHECK(answer.origin == Origin::disk);
    CHECK(scratch.files(".fourge").size() == (promote ? 1U : 0U));
  }
}

TEST_CASE("a worker is told what differs from the defaults", "[worker]") {
  const Scratch scratch;
  Options options = with_workers(scratch);
  const auto has = [&options](const std::string& name, const std::string& value) {
    const auto command = worker::worker_settings(options, 1).command;
    const auto at = std::find(command.begin(), command.end(), name);
    return at != command.end() && (value.empty() || *std::next(at) == value);
  };
  CHECK_FALSE(has("--compile-wait", ""));
  CHECK_FALSE(has("--stuck-after", ""));
  CHECK_FALSE(has("--no-promote", ""));
  options.compile_wait = std::chrono::milliseconds(1500);
  options.stuck_after = std::chrono::milliseconds(0);
  options.cache_promote = false;
  CHECK(has("--compile-wait", "1500"));
  CHECK(has("--stuck-after", "0"));
  CHECK(has("--no-promote", ""));
  // And takes it.
  Runtime runtime(options);
  CHECK(runtime.build_async(spec_of("row_amax")).get()->origin == Origin::compiled);
  CHECK(runtime.stats().worker_compiles == 1);
}

TEST_CASE("a worker that dies while it has nothing to do costs nothing", "[worker]") {
  const Scratch scratch;
  Runtime runtime(with_workers(scratch));
  REQUIRE(runtime.build_async(spec_of("row_amax")).get()->origin == Origin::compiled);
  const pid_t worker = worker_of_this_process();
  REQUIRE(worker > 0);
  REQUIRE(::kill(worker, SIGINT) == 0);  // as a terminal does
  for (int i = 0; i < 3000 && state_of(worker) != 'Z'; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  REQUIRE(state_of(worker) == 'Z');
  CHECK(runtime.build_async(spec_of("row_amax[tpr=32]")).get()->origin == Origin::compiled);
  CHECK(runtime.stats().worker_compiles == 2);
}

TEST_CASE("a program that is no worker is not used, with one warning", "[worker]") {
  for (const char* program : {"/nowhere/fourge", "/bin/cat", "/bin/echo", "/bin/false"}) {
    const Scratch scratch;
    LogLines log;
    Options options = with_workers(scratch);
    options.worker_program = program;
    options.log = log.sink();
    Runtime runtime(options);
    INFO(program);
    CHECK(runtime.build_async(spec_of("row_amax")).get()->origin == Origin::compiled);
    CHECK(runtime.stats().compiles == 1);
    CHECK(log.count(LogLevel::warn) == 1);
    CHECK(log.all().find("is not used") != std::string::npos);
  }
}

TEST_CASE("a Runtime writes down once what it was asked for", "[worker]") {
  const Scratch scratch;
  Options options = with_faulty_nvrtc(scratch.options());
  CHECK_FALSE(options.history);
  Runtime(options).build(spec_of("row_amax"));
  cache::HistoryLog history(scratch.cache());
  CHECK(history.read().texts.empty());
  options.history = true;
  Runtime runtime(options);
  for (int i = 0; i < 3; ++i) {
    runtime.build(spec_of("row_amax"));
    runtime.build_async(spec_of("row_amax[tpr=32]")).get();
  }
  PrepareAllOptions build;
  build.where = Preparation::build;
  runtime.prepare_all(
      Manifest::parse(R"({"fourge_manifest": 1, "specs": ["row_amax[tpr=512]@sm_90a"]})"), build);
  CHECK(history.read().texts.size() == 2);
  runtime.build(spec_of("row_amax[tpr=512]"));
  CHECK(history.read().texts.size() == 3);
  std::ifstream file(scratch.cache() + "/usage/history");
  std::size_t lines = 0;
  for (std::string line; std::getline(file, line);) {
    ++lines;
  }
  CHECK(lines == 3);
}

}  // namespace fourge::tests
