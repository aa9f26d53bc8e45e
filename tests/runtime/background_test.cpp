// What happens in the background of a Runtime, without a GPU: results, cancelling, and an end that no
// compile can hold up.
#include <fourge/runtime.hpp>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/background.hpp"
#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/faulty_nvrtc.hpp"

namespace fourge::tests {
namespace {

using std::chrono::milliseconds;

KernelSpec spec_of(const char* text) { return KernelSpec::parse(text, Target::parse("sm_90a")); }

ErrorKind kind_of(const PendingArtifact& pending) {
  try {
    pending.get();
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::internal;
}

Manifest manifest_of(const std::string& specs) {
  return Manifest::parse("{\"fourge_manifest\": 1, \"targets\": [\"sm_90a\"], \"specs\": [" +
                         specs + "]}");
}

// Compiles that begin leave a letter there.
class CallCount {
 public:
  explicit CallCount(const Scratch& scratch) : path_(scratch.path() + "/calls") {
    ::setenv("FOURGE_FAKE_NVRTC_CALLS", path_.c_str(), 1);
  }
  ~CallCount() { ::unsetenv("FOURGE_FAKE_NVRTC_CALLS"); }
  CallCount(const CallCount&) = delete;
  CallCount& operator=(const CallCount&) = delete;

  std::size_t value() const {
    std::error_code missing;
    const auto size = std::filesystem::file_size(path_, missing);
    return missing ? 0 : static_cast<std::size_t>(size);
  }
  bool reaches(std::size_t count) const {
    for (int i = 0; i < 3000 && value() < count; ++i) {
      std::this_thread::sleep_for(milliseconds(10));
    }
    return value() >= count;
  }

 private:
  std::string path_;
};

Options in_process(const Scratch& scratch) {
  Options options = with_faulty_nvrtc(scratch.options());
  return options;
}

}  // namespace

TEST_CASE("a kernel is built in the background", "[background]") {
  const Scratch scratch;
  Runtime runtime(in_process(scratch));
  CHECK_FALSE(PendingArtifact().valid());
  const KernelSpec spec = spec_of("row_amax");
  const PendingArtifact pending = runtime.build_async(spec);
  CHECK(pending.valid());
  const auto artifact = pending.get();
  CHECK(artifact->spec == spec);
  CHECK(artifact->origin == Origin::compiled);
  CHECK(pending.get() == artifact);
  CHECK(runtime.build(spec) == artifact);
  CHECK(runtime.build_async(spec).get() == artifact);
  CHECK(runtime.stats().compiles == 1);
  CHECK(runtime.is_cached(spec));
  CHECK_FALSE(runtime.is_cached(spec_of("row_amax[tpr=32]")));
  CHECK(Runtime(in_process(scratch)).is_cached(spec));
}

TEST_CASE("errors of the background are those of build()", "[background]") {
  const Scratch scratch;
  Runtime runtime(in_process(scratch));
  const NvrtcFault fault("fail");
  const PendingArtifact pending = runtime.build_async(spec_of("row_amax"));
  for (int i = 0; i < 2; ++i) {
    try {
      pending.get();
      FAIL("compiled");
    } catch (const CompileError& error) {
      CHECK(error.log().find("refused on purpose") != std::string::npos);
      CHECK_FALSE(error.source_path().empty());
    }
  }
}

TEST_CASE("a request that waits its turn is cancelled, and others go on", "[background]") {
  const Scratch scratch;
  const CallCount calls(scratch);
  Runtime runtime(in_process(scratch));
  std::vector<PendingArtifact> running;
  PendingArtifact waiting;
  {
    const NvrtcFault fault("wait");
    for (const char* text : {"row_amax", "row_amax[tpr=32]"}) {
      running.push_back(runtime.build_async(spec_of(text)));
    }
    REQUIRE(calls.reaches(2));  // as many as there are lanes
    waiting = runtime.build_async(spec_of("row_amax[tpr=512]"));
    CHECK_FALSE(waiting.wait_for(milliseconds(50)));
    waiting.cancel();
    // One that runs, too: NVRTC is told.
    running[0].cancel();
    CHECK(kind_of(running[0]) == ErrorKind::cancelled);
    CHECK(kind_of(waiting) == ErrorKind::cancelled);
    CHECK_FALSE(running[1].ready());
    running[1].cancel();
    CHECK(kind_of(running[1]) == ErrorKind::cancelled);
  }
  CHECK(calls.value() == 2);
  CHECK(runtime.stats().cancelled == 3);
  // Nothing of it is remembered.
  CHECK(runtime.stats().compile_failures == 0);
  CHECK(runtime.build_async(spec_of("row_amax")).get()->origin == Origin::compiled);
  CHECK(waiting.ready());
}

TEST_CASE("who waits for a cancelled compile does it himself", "[background]") {
  const Scratch scratch;
  const CallCount calls(scratch);
  Runtime runtime(in_process(scratch));
  PendingArtifact first;
  PendingArtifact second;
  {
    const NvrtcFault fault("wait");
    first = runtime.build_async(spec_of("row_amax"));
    REQUIRE(calls.reaches(1));
    second = runtime.build_async(spec_of("row_amax"));
    CHECK_FALSE(second.wait_for(milliseconds(50)));
    first.cancel();
    CHECK(kind_of(first) == ErrorKind::cancelled);
    REQUIRE(calls.reaches(2));
  }
  CHECK(second.get()->origin == Origin::compiled);
}

TEST_CASE("a compile that never ends does not hold up the end of a Runtime", "[background]") {
  LogLines log;
  const Scratch scratch;
  const CallCount calls(scratch);
  PendingArtifact stuck;
  PendingArtifact waiting;
  const auto begin = std::chrono::steady_clock::now();
  {
    Options options = in_process(scratch);
    options.log = log.sink();
    Runtime runtime(options);
    const NvrtcFault fault("hang");
    stuck = runtime.build_async(spec_of("row_amax"));
    REQUIRE(calls.reaches(1));
    runtime.build_async(spec_of("row_amax[tpr=32]"));
    REQUIRE(calls.reaches(2));
    waiting = runtime.build_async(spec_of("row_amax[tpr=512]"));
  }
  // It hangs for good, so that ending at all shows it; the bound is far from what it takes.
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));
  CHECK(kind_of(waiting) == ErrorKind::cancelled);
  CHECK_FALSE(stuck.ready());
  // The process ends while two threads are in a compile.
}

TEST_CASE("a compile that ends after its Runtime does no harm and says nothing", "[background]") {
  std::atomic<bool> gone{false};
  std::atomic<int> late{0};
  const Scratch scratch;
  const CallCount calls(scratch);
  PendingArtifact pending;
  const auto fault = std::make_unique<NvrtcFault>("sleep");
  {
    Options options = in_process(scratch);
    options.log = [&](LogLevel, std::string_view) { late += gone ? 1 : 0; };
    Runtime runtime(options);
    pending = runtime.build_async(spec_of("row_amax"));
    REQUIRE(calls.reaches(1));
  }
  gone = true;
  CHECK_FALSE(pending.ready());
  CHECK(pending.wait_for(std::chrono::seconds(60)));
  CHECK(kind_of(pending) == ErrorKind::cancelled);
  CHECK(late == 0);
}

TEST_CASE("all of a manifest is built, and what fails is told", "[background]") {
  const Scratch scratch;
  Runtime runtime(in_process(scratch));
  PrepareAllOptions options;
  options.where = Preparation::build;
  std::size_t failed = 0;
  options.progress = [&](const PrepareProgress& progress) {
    failed += progress.error != nullptr ? 1 : 0;
    CHECK(progress.failed == failed);
  };
  {
    const NvrtcFault fault("fail");
    const PrepareReport report =
        runtime.prepare_all(manifest_of("\"row_amax[tpr=32]\", \"row_amax\""), options);
    CHECK_FALSE(report.ok());
    REQUIRE(report.failures.size() == 2);
    CHECK(report.failures[0].kind == ErrorKind::compile_failed);
    CHECK(report.failures[0].spec == spec_of("row_amax"));
    CHECK(failed == 2);
    CHECK_FALSE(runtime.ready());
    CHECK(runtime.serving().failed == 2);
  }
  failed = 0;
  Options again = in_process(scratch);
  again.retry_failed = true;
  Runtime second(again);
  const PrepareReport report = second.prepare_all(manifest_of("\"row_amax[tpr=32]\""), options);
  CHECK(report.ok());
  CHECK(report.prepared == 2);
  CHECK(report.compiled == 2);
  CHECK(second.ready());
  CHECK(second.prepare_all(manifest_of("\"row_amax[tpr=32]\""), options).compiled == 0);
  second.freeze(FreezePolicy::refuse);
  CHECK(second.build(spec_of("row_amax"))->origin == Origin::compiled);
  CHECK(second.stats().frozen_misses == 0);
  CHECK_THROWS_AS(second.build(spec_of("row_amax[tpr=512]")), Error);
  CHECK(second.build_async(spec_of("row_amax[tpr=512]")).get()->origin == Origin::compiled);
}

TEST_CASE("preparing all is stopped, by a token or by the callback", "[background]") {
  const Scratch scratch;
  const CallCount calls(scratch);
  Runtime runtime(in_process(scratch));
  PrepareAllOptions options;
  options.where = Preparation::build;
  {
    const NvrtcFault fault("wait");
    std::stop_source stop;
    options.stop = stop.get_token();
    std::thread stopper([&] {
      calls.reaches(1);
      stop.request_stop();
    });
    ErrorKind kind = ErrorKind::internal;
    try {
      runtime.prepare_all(manifest_of("\"row_amax\", \"row_amax[tpr=32]\""), options);
    } catch (const Error& error) {
      kind = error.kind();
    }
    stopper.join();
    CHECK(kind == ErrorKind::cancelled);
    CHECK_FALSE(runtime.serving().preparing);
  }
  options.stop = {};
  options.progress = [](const PrepareProgress&) { throw std::runtime_error("enough"); };
  CHECK_THROWS_WITH(runtime.prepare_all(manifest_of("\"row_amax\""), options), "enough");
  CHECK_FALSE(runtime.ready());
}

TEST_CASE("host execution has the same states", "[background]") {
  const Scratch scratch;
  Runtime runtime(scratch.options());
  PrepareAllOptions options;
  options.where = Preparation::host;
  const Manifest manifest = Manifest::parse(R"({"fourge_manifest": 1, "specs": ["row_amax"]})");
  const PrepareReport report = runtime.prepare_all(manifest, options);
  CHECK(report.ok());
  CHECK(report.prepared == 1);
  CHECK(runtime.ready());
  runtime.freeze(FreezePolicy::refuse);
  const KernelSpec spec = spec_of("row_amax");
  CHECK(runtime.prepare_host(spec).spec() == spec);
  CHECK_THROWS_AS(runtime.prepare_host(spec_of("row_amax[tpr=32]")), Error);
}

TEST_CASE("sixteen threads ask in the background, and cancel some of it", "[background]") {
  const Scratch scratch;
  Runtime runtime(in_process(scratch));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      const char* const texts[] = {"row_amax", "row_amax[tpr=32]", "row_amax[tpr=512]"};
      for (int round = 0; round < 20; ++round) {
        const KernelSpec spec = spec_of(texts[(i + round) % 3]);
        const PendingArtifact pending = runtime.build_async(spec);
        if ((i + round) % 4 == 0) {
          pending.cancel();
        }
        try {
          wrong += pending.get()->spec == spec ? 0 : 1;
        } catch (const Error& error) {
          wrong += error.kind() == ErrorKind::cancelled ? 0 : 1;
        }
        static_cast<void>(runtime.serving());
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(wrong == 0);
  CHECK(runtime.stats().compile_failures == 0);
}

TEST_CASE("lanes are told when there is nothing to do and work in turn", "[background]") {
  struct Lane : BackgroundLane {
    explicit Lane(std::atomic<int>& count) : lanes(count) { ++lanes; }
    ~Lane() override { --lanes; }
    std::atomic<int>& lanes;
  };
  std::atomic<int> lanes{0};
  std::atomic<int> done{0};
  std::atomic<int> stopped{0};
  std::atomic<bool> go{false};
  Background background(3, [&] { return std::make_unique<Lane>(lanes); });
  for (int i = 0; i < 50; ++i) {
    background.submit({{}, [&](const std::stop_token& stop, BackgroundLane&) {
                         while (!go && !stop.stop_requested()) {
                           std::this_thread::sleep_for(milliseconds(1));
                         }
                         ++(stop.stop_requested() ? stopped : done);
                       }});
  }
  CHECK(background.pending() == 50);
  CHECK(background.shut_down(std::chrono::seconds(60)));
  CHECK(done + stopped == 50);
  CHECK(stopped == 50);
  CHECK(background.pending() == 0);
  CHECK(lanes == 0);
}

}  // namespace fourge::tests
