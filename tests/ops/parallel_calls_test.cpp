// The runner of the GPU tests' calls, without a GPU: nothing that goes wrong on a worker is lost.
#include "tests/ops/cases/parallel_calls.hpp"

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

void three_calls(const KernelSpec& spec, CallSize, const CallSink& sink) {
  for (const char* label : {"first", "second", "third"}) {
    OpCall call{spec, label, {}, {}, {}};
    call.excused = std::make_shared<Excused>(Excused{2, 1});
    sink(call);
  }
}

void no_calls(const KernelSpec&, CallSize, const CallSink&) {
  throw std::runtime_error("no answers");
}

std::vector<VariantCalls> variants(std::size_t count) {
  std::vector<VariantCalls> list;
  const auto spec = KernelSpec::parse("row_amax@sm_90a");
  for (std::size_t i = 0; i < count; ++i) {
    list.push_back({{"one", three_calls}, spec, CallSize::small});
    list.push_back({{"other", three_calls}, spec, CallSize::small});
  }
  return list;
}

void plainly(const std::function<void()>& work) { work(); }

}  // namespace

TEST_CASE("calls on several threads are counted by operation", "[parallel-calls]") {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::atomic<int> scopes{0};
  const auto list = variants(20);
  const auto tallies = run_variants(
      list, 4,
      [&](const KernelSpec&) -> CallRunner {
        const std::lock_guard lock(mutex);
        threads.insert(std::this_thread::get_id());
        return [](const OpCall&) { return std::string(); };
      },
      [&](const std::function<void()>& work) {
        ++scopes;
        work();
      });
  REQUIRE(tallies.size() == 2);
  for (const CallTally& tally : tallies) {
    CHECK(tally.variants == 20);
    CHECK(tally.calls == 60);
    CHECK(tally.different == 0);
    CHECK(tally.excused.codes == 120);
    CHECK(tally.excused.blocks == 60);
  }
  CHECK(tallies[0].op == "one");
  CHECK(scopes == 4);
  CHECK(threads.count(std::this_thread::get_id()) == 0);
}

TEST_CASE("what goes wrong on a worker is a difference", "[parallel-calls]") {
  auto list = variants(1);
  list.push_back({{"broken", no_calls}, list[0].spec, CallSize::small});
  const auto tallies = run_variants(
      list, 3,
      [](const KernelSpec&) -> CallRunner {
        return [](const OpCall& call) -> std::string {
          if (call.label == "second") {
            throw std::runtime_error("a launch failed");
          }
          return call.label == "third" ? "byte 7" : "";
        };
      },
      plainly);
  REQUIRE(tallies.size() == 3);
  CHECK(tallies[0].calls == 3);
  CHECK(tallies[0].different == 2);
  CHECK(to_string(tallies[0]).find("[second]: a launch failed") != std::string::npos);
  CHECK(to_string(tallies[0]).find("byte 7") != std::string::npos);
  CHECK(tallies[2].calls == 0);
  CHECK(tallies[2].different == 1);
  CHECK(to_string(tallies[2]).find("no answers") != std::string::npos);
}

TEST_CASE("a worker without its scope ends the run", "[parallel-calls]") {
  const auto list = variants(2);
  CHECK_THROWS_AS(run_variants(
                      list, 2, [](const KernelSpec&) -> CallRunner { return {}; },
                      [](const std::function<void()>&) { throw std::runtime_error("no context"); }),
                  std::runtime_error);
}

}  // namespace fourge::tests
