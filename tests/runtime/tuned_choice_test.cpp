// The Runtime takes what was tuned where it is good, and its own choice everywhere else.
#include <fourge/device.hpp>
#include <fourge/runtime.hpp>

#include "runtime/tuning/tuned_choice.hpp"
#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

using fourge::CallShape;
using fourge::choose_launch;
using fourge::KernelSpec;
using fourge::LogLevel;
using fourge::Runtime;
using fourge::tuning_basis;
using fourge::tuning_bucket;
using fourge::tuning_choice;
using fourge::tuning_key;
using fourge::TuningRecord;
using fourge::TuningStore;
using fourge::with_tuning_choice;
using fourge::tests::LogLines;
using fourge::tests::Scratch;

namespace {

constexpr CallShape kShape{1000, 7168};

fourge::DeviceInfo h200() {
  fourge::DeviceInfo device;
  device.name = "NVIDIA H200";
  device.multiprocessors = 132;
  return device;
}

KernelSpec spec_of(const std::string& axes) {
  return KernelSpec::parse("nvfp4_quantize[" + axes + "]@sm_90a");
}

// A directory with a record that says tpc=4 for kShape, where the rule says 1.
struct Tuned {
  Scratch scratch;
  LogLines lines;
  KernelSpec spec = spec_of("layout=128x4");
  fourge::Options options = scratch.options();
  TuningRecord record{tuning_key(spec, kShape, h200().name),
                      tuning_basis(spec, 132, fourge::OpRegistry()), "tpc=4", 4.5};

  Tuned() {
    options.log = lines.sink();
    REQUIRE(choose_launch(spec, kShape, {132}).get("tpc") == "1");
  }
  void keep() { TuningStore(scratch.cache()).keep(record); }
  std::string best(const CallShape& shape = kShape) {
    Runtime runtime(options);
    return std::string(runtime.best_variant(spec, shape, h200()).get("tpc"));
  }
};

}  // namespace

TEST_CASE("what a record is about: all variants with the same results, rows to a power of two") {
  CHECK(tuning_bucket({1, 7168}) == "1x7168");
  CHECK(tuning_bucket({0, 16}) == "1x16");
  CHECK(tuning_bucket({513, 7168}) == "1024x7168");
  CHECK(tuning_bucket({1024, 7168}) == "1024x7168");
  CHECK(tuning_bucket({1025, 7168}) == "2048x7168");
  const auto key = tuning_key(spec_of("layout=128x4,tpc=4"), kShape, "X");
  CHECK(key == tuning_key(spec_of("layout=128x4"), {1024, 7168}, "X"));
  CHECK(key.subject ==
        "nvfp4_quantize[in=bf16,layout=128x4,scale=tensor,math=exact,4over6=off]@sm_90a");
  CHECK(key != tuning_key(spec_of("layout=8x4"), kShape, "X"));
  CHECK(key != tuning_key(spec_of("layout=128x4"), kShape, "Y"));

  CHECK(tuning_choice(spec_of("tpc=2")) == "tpc=2");
  CHECK(tuning_choice(KernelSpec::parse("fp8_quantize_128x128@sm_90a")).empty());
  CHECK(with_tuning_choice(spec_of("tpc=1"), "tpc=4", kShape) == spec_of("tpc=4"));
  for (const char* no : {"", "tpc=3", "tpc=4,", "layout=8x4", "math=fast", "tpc=2,tpc=4"}) {
    CHECK_FALSE(with_tuning_choice(spec_of("tpc=1"), no, kShape));
  }
}

TEST_CASE("what a record depends on: the sources of all its variants") {
  const fourge::OpRegistry ops;
  const auto basis = tuning_basis(spec_of("tpc=1"), 132, ops);
  CHECK(basis == tuning_basis(spec_of("tpc=4"), 132, ops));
  CHECK(basis != tuning_basis(spec_of("tpc=1"), 131, ops));
  CHECK(basis != tuning_basis(spec_of("math=fast"), 132, ops));
}

TEST_CASE("a good record is used for its calls and for no others") {
  Tuned tuned;
  CHECK(tuned.best() == "1");
  tuned.keep();
  CHECK(tuned.best() == "4");
  CHECK(tuned.best({600, 7168}) == "4");
  CHECK(tuned.best({128, 7168}) == "1");
  CHECK(tuned.best({1000, 4096}) == "1");
  CHECK(tuned.lines.all() == "");
  tuned.spec = spec_of("layout=128x4,tpc=2");
  CHECK(tuned.best() == "4");
  tuned.spec = spec_of("layout=8x4");
  CHECK(tuned.best() == "1");
  tuned.options.cache_directory.clear();
  tuned.spec = spec_of("layout=128x4");
  CHECK(tuned.best() == "1");
}

TEST_CASE("a record that is not good is ignored with one warning") {
  Tuned tuned;
  std::string said;
  SECTION("of another version") {
    tuned.record.basis.made_of = "other";
    said = "another version";
  }
  SECTION("of another device of this name") {
    tuned.record.basis.multiprocessors = 66;
    said = "66 multiprocessors";
  }
  SECTION("not legal") {
    tuned.record.choice = "tpc=8";
    said = "\"tpc=8\"";
  }
  SECTION("of another result") {
    tuned.record.choice = "math=fast";
    said = "math=fast";
  }
  SECTION("damaged") { said = "is not used"; }
  tuned.keep();
  if (said == "is not used") {
    std::ofstream(TuningStore(tuned.scratch.cache()).path_of(tuned.record.key)) << "{";
  }
  Runtime runtime(tuned.options);
  for (int i = 0; i < 3; ++i) {
    CHECK(runtime.best_variant(tuned.spec, kShape, h200()) ==
          choose_launch(tuned.spec, kShape, {132}));
  }
  CHECK(tuned.lines.count(LogLevel::warn) == 1);
  CHECK(tuned.lines.all().find(said) != std::string::npos);
  CHECK(tuned.lines.all().find("fourge tune") != std::string::npos);
}

TEST_CASE("per token a record for one row may not hold another's columns") {
  Tuned tuned;
  tuned.spec = KernelSpec::parse("nvfp4_quantize_per_token[]@sm_90a");
  const CallShape wide{1, 65552};
  tuned.record.key = tuning_key(tuned.spec, wide, h200().name);
  tuned.record.basis = tuning_basis(tuned.spec, 132, fourge::OpRegistry());
  tuned.record.choice = "row=registers";
  tuned.keep();
  Runtime runtime(tuned.options);
  CHECK(runtime.best_variant(tuned.spec, wide, h200()) == choose_launch(tuned.spec, wide, {132}));
  CHECK(tuned.lines.count(LogLevel::warn) == 1);
}

TEST_CASE("many threads ask at once") {
  Tuned tuned;
  tuned.keep();
  Runtime runtime(tuned.options);
  std::vector<std::string> answers(8);
  std::vector<std::thread> threads;
  for (std::string& answer : answers) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        answer = std::string(runtime.best_variant(tuned.spec, kShape, h200()).get("tpc"));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(answers == std::vector<std::string>(8, "4"));
}
