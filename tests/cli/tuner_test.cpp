// The search of `fourge tune`, with times that are made up.
#include <fourge/error.hpp>

#include "tests/support/catch.hpp"
#include "tools/tune/tuner.hpp"

#include <limits>
#include <map>
#include <string>
#include <vector>

using fourge::CallShape;
using fourge::Error;
using fourge::ErrorKind;
using fourge::KernelSpec;
using fourge::tools::record_of;
using fourge::tools::tune_call;
using fourge::tools::TunedCall;

namespace {

constexpr CallShape kShape{1024, 7168};
constexpr fourge::DeviceFacts kDevice{132};

KernelSpec plain() { return KernelSpec::parse("nvfp4_quantize[]@sm_90a"); }

// The rule's is tpc=1. Times by tpc.
std::string winner(std::map<std::string, double> times) {
  const TunedCall call = tune_call(plain(), kShape, kDevice, 1, [&](const KernelSpec& spec) {
    return times.at(std::string(spec.get("tpc")));
  });
  return std::string(call.best().spec.get("tpc"));
}

ErrorKind failure(const KernelSpec& spec, const fourge::tools::CallTimer& timer) {
  try {
    tune_call(spec, kShape, kDevice, 2, timer);
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::internal;
}

}  // namespace

TEST_CASE("the fastest wins, the rule's choice unless another is clearly faster") {
  CHECK(winner({{"1", 10}, {"2", 8}, {"4", 9}}) == "2");
  CHECK(winner({{"1", 10}, {"2", 9.95}, {"4", 9.91}}) == "1");
  CHECK(winner({{"1", 10}, {"2", 9.95}, {"4", 9.8}}) == "4");
  CHECK(winner({{"1", 5}, {"2", 5}, {"4", 5}}) == "1");
  CHECK(winner({{"1", 0}, {"2", 0}, {"4", 0}}) == "1");
}

TEST_CASE("turns go round the variants, and the best of each counts") {
  std::vector<std::string> asked;
  const TunedCall call = tune_call(plain(), kShape, kDevice, 3, [&](const KernelSpec& spec) {
    asked.emplace_back(spec.get("tpc"));
    const bool disturbed = asked.size() <= 3 && spec.get("tpc") == "4";
    return disturbed ? 100.0 : spec.get("tpc") == "4" ? 4.0 : 6.0;
  });
  CHECK(asked == std::vector<std::string>{"1", "2", "4", "1", "2", "4", "1", "2", "4"});
  CHECK(call.best().microseconds == 4.0);
  CHECK(call.best().spec.get("tpc") == "4");
  CHECK(call.by_rule.get("tpc") == "1");
}

TEST_CASE("a variant that does not take the call is left out") {
  int asked = 0;
  const TunedCall call = tune_call(plain(), kShape, kDevice, 2, [&](const KernelSpec& spec) {
    asked += spec.get("tpc") == "1" ? 1 : 0;
    if (spec.get("tpc") == "1") throw Error(ErrorKind::invalid_argument, "too wide");
    return spec.get("tpc") == "2" ? 7.0 : 8.0;
  });
  CHECK(call.best().spec.get("tpc") == "2");
  CHECK(call.variants[0].refused == "too wide");
  CHECK(asked == 1);
}

TEST_CASE("only variants that hold the columns are timed") {
  std::string rows;
  tune_call(KernelSpec::parse("nvfp4_quantize_per_token[]@sm_90a"), {4, 65552}, kDevice, 1,
            [&](const KernelSpec& spec) {
              rows += std::string(spec.get("row")) + ' ';
              return 1.0;
            });
  CHECK(rows == "cluster looped ");
}

TEST_CASE("what cannot be tuned is an error") {
  const auto one = [](const KernelSpec&) { return 1.0; };
  CHECK(failure(KernelSpec::parse("fp8_quantize_128x128@sm_90a"), one) == ErrorKind::invalid_spec);
  CHECK(failure(plain(), [](const KernelSpec&) -> double {
          throw Error(ErrorKind::invalid_argument, "no");
        }) == ErrorKind::invalid_argument);
  CHECK(failure(plain(), [](const KernelSpec&) -> double {
          throw Error(ErrorKind::unsupported, "gone");
        }) == ErrorKind::unsupported);
  CHECK_THROWS_AS(
      tune_call(plain(), kShape, kDevice, 1,
                [](const KernelSpec&) { return std::numeric_limits<double>::quiet_NaN(); }),
      Error);
}

TEST_CASE("the record says what won") {
  const TunedCall call = tune_call(plain(), {1000, 7168}, kDevice, 1, [](const KernelSpec& spec) {
    return spec.get("tpc") == "2" ? 4.25 : 8.0;
  });
  const auto record = record_of(call, "NVIDIA H200", {132, "abc"});
  CHECK(record.choice == "tpc=2");
  CHECK(record.microseconds == 4.25);
  CHECK(record.key.bucket == "1024x7168");
  CHECK(record.key.device == "NVIDIA H200");
  CHECK(record.basis.multiprocessors == 132);
}
