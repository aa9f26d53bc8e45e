// The crossing that `fourge tune allreduce` found, and what a group makes of it.
#include "runtime/comm/tuned_algorithm.hpp"

#include <filesystem>
#include <fstream>

#include "runtime/tuning/tuning_store.hpp"
#include "tests/comm/group_support.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

using comm::Algorithm;
using comm::CrossingQuestion;
using comm::GroupConfig;

CrossingQuestion question(int ranks = 4) {
  return {"Fake GPU A", 132, Target::parse("sm_90a"), ranks, 1024, "bf16"};
}

}  // namespace

TEST_CASE("tuned algorithm: what was kept is found; what is not good is ignored with a warning",
          "[comm]") {
  const Scratch scratch;
  LogLines log;
  Options options = scratch.options();
  options.log = log.sink();
  CHECK_FALSE(find_crossing(options, question()));
  keep_crossing(options, question(), 5, 7.5);
  CHECK(find_crossing(options, question()) == 5);
  CHECK_FALSE(find_crossing(options, question(2)));
  CHECK(log.count(LogLevel::warn) == 0);

  CrossingQuestion other = question();
  other.multiprocessors = 78;
  CHECK_FALSE(find_crossing(options, other));
  CHECK(log.all().find("multiprocessors") != std::string::npos);
  CHECK(log.count(LogLevel::warn) == 1);

  TuningRecord record = comm::crossing_record(question(), 5, 7.5);
  for (const char* choice : {"one_shot_rows=-1", "one_shot_rows=4294967296", "one_shot_rows=5x",
                             "one_shot_rows=", "two_shot_rows=5", "tpc=2"}) {
    INFO(choice);
    CHECK_FALSE(comm::parse_crossing(choice));
    record.choice = choice;
    TuningStore(options.cache_directory).keep(record);
    const std::size_t warnings = log.count(LogLevel::warn);
    CHECK_FALSE(find_crossing(options, question()));
    CHECK(log.count(LogLevel::warn) == warnings + 1);
  }
  record.choice = "one_shot_rows=0";
  TuningStore(options.cache_directory).keep(record);
  CHECK(find_crossing(options, question()) == 0);
  record.basis.made_of = "other kernels";
  TuningStore(options.cache_directory).keep(record);
  CHECK_FALSE(find_crossing(options, question()));
  std::ofstream(TuningStore(options.cache_directory).path_of(record.key)) << "{";
  CHECK_FALSE(find_crossing(options, question()));
  options.cache_directory.clear();
  CHECK_FALSE(find_crossing(options, question()));
  CHECK_THROWS_AS(keep_crossing(options, question(), 5, 1), Error);
}

TEST_CASE("tuned algorithm: all ranks of a group take what rank 0 has", "[comm]") {
  const FakeCuda& fake = reset_for_groups();
  CHECK(fake.device_count == 4);
  const Scratch scratch;
  Options options = group_options(scratch);
  options.cache_directory = scratch.cache();
  keep_crossing(options, question(), 5, 1.0);
  // The others have devices of another name here, and so no record.
  Runtime runtime(options);
  const auto failures = run_group(
      runtime, 4, [](GroupConfig& config) { config.max_rows = 100; },
      [](comm::Group& group, int) {
        if (group.algorithm(5) != Algorithm::one_shot ||
            group.algorithm(6) != Algorithm::two_shot) {
          throw Error(ErrorKind::internal, "the record was not taken");
        }
      });
  for (const Failure& failure : failures) {
    INFO(failure.text);
    CHECK_FALSE(failure.thrown);
  }
}

}  // namespace fourge::tests
