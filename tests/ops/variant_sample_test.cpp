#include "tests/support/variant_sample.hpp"

#include <fourge/nvfp4_quantize.hpp>

#include "jit/pairwise_sample.hpp"
#include "tests/support/catch.hpp"

#include <algorithm>
#include <set>

using fourge::KernelSpec;
using fourge::Target;

namespace {

std::string target_text(const Target& target) { return target.text(); }

// The first target with the same features stands for all.
std::string features_text(const Target& target) {
  for (const Target& first : Target::all()) {
    if (first.features() == target.features()) return first.text();
  }
  return "?";
}

// Every pair of axis values that some variant has, the target, as `text_of` has it, being one of them.
std::set<std::string> pairs_of(const std::vector<KernelSpec>& specs,
                               std::string (*text_of)(const Target&)) {
  std::set<std::string> pairs;
  for (const auto& spec : specs) {
    std::vector<std::string> values{text_of(spec.target())};
    for (const auto& axis : spec.op().axes) {
      values.push_back(std::string(axis.name) + "=" + std::string(spec.get(axis.name)));
    }
    for (std::size_t a = 0; a < values.size(); ++a) {
      for (std::size_t b = a + 1; b < values.size(); ++b) {
        pairs.insert(values[a] + " " + values[b]);
      }
    }
  }
  return pairs;
}

std::vector<KernelSpec> all_of_quantize() {
  return fourge::tests::variants_for(fourge::nvfp4_quantize_op(), Target::all());
}

}  // namespace

TEST_CASE("a pairwise sample covers every legal pair of axis values", "[sample]") {
  const auto all = all_of_quantize();
  const auto sample = fourge::tests::pairwise_sample(all, 1);
  CHECK(sample.size() < all.size() / 100);
  CHECK(pairs_of(sample, target_text) == pairs_of(all, target_text));
}

TEST_CASE("nothing of a pairwise sample can be left out", "[sample]") {
  const auto all = all_of_quantize();
  const auto sample = fourge::tests::pairwise_sample(all, 1);
  const auto pairs = pairs_of(all, target_text);
  for (std::size_t i = 0; i < sample.size(); ++i) {
    auto rest = sample;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
    INFO(sample[i].text());
    CHECK(pairs_of(rest, target_text).size() < pairs.size());
  }
}

TEST_CASE("a sample by features takes targets of the same ones as one, and all of them",
          "[sample]") {
  const auto all = all_of_quantize();
  const auto sample =
      fourge::tests::pairwise_sample(all, 1, fourge::tests::SampleTargets::features);
  CHECK(sample.size() < fourge::tests::pairwise_sample(all, 1).size() * 2 / 3);
  CHECK(pairs_of(sample, features_text) == pairs_of(all, features_text));
  std::set<std::string> targets;
  for (const auto& spec : sample) targets.insert(spec.target().text());
  CHECK(targets.size() == Target::all().size());
}

TEST_CASE("a sample has few of the variants that cost much", "[sample]") {
  const auto all = all_of_quantize();
  const auto dear = [](const KernelSpec& spec) { return spec.get("tpc") == "4"; };
  const auto cost = [&](const KernelSpec& spec) { return dear(spec) ? 3.0 : 1.0; };
  const auto plain = fourge::jit::pairwise_sample(all, 1);
  const auto thrifty = fourge::jit::pairwise_sample(all, 1, {cost, false});
  CHECK(pairs_of(thrifty, target_text) == pairs_of(all, target_text));
  CHECK(std::count_if(thrifty.begin(), thrifty.end(), dear) <
        std::count_if(plain.begin(), plain.end(), dear));
}

// The published matrix is of two operations, the second of which has more values to some axes.
TEST_CASE("a sample of several operations is that of each", "[sample]") {
  const std::vector<Target> targets{Target::parse("sm_90a")};
  std::vector<KernelSpec> all;
  std::vector<KernelSpec> of_each;
  std::vector<KernelSpec> few_of_each;
  for (const auto* op : fourge::all_ops()) {
    const auto of_op = fourge::tests::variants_for(*op, targets);
    const auto sample = fourge::jit::pairwise_sample(of_op, 5);
    const auto few = fourge::tests::axis_value_sample(of_op, 5);
    all.insert(all.end(), of_op.begin(), of_op.end());
    of_each.insert(of_each.end(), sample.begin(), sample.end());
    few_of_each.insert(few_of_each.end(), few.begin(), few.end());
  }
  CHECK(fourge::jit::pairwise_sample(all, 5) == of_each);
  CHECK(fourge::tests::axis_value_sample(all, 5) == few_of_each);
}

TEST_CASE("a sample of nothing is empty", "[sample]") {
  CHECK(fourge::jit::pairwise_sample({}, 1).empty());
}

TEST_CASE("a sample of axis values has each of them, in few variants", "[sample]") {
  const std::vector<Target> targets{Target::parse("sm_90a")};
  const auto values = [](const std::vector<KernelSpec>& specs) {
    std::set<std::string> texts;
    for (const auto& spec : specs) {
      for (const auto& axis : spec.op().axes) {
        texts.insert(std::string(axis.name) + "=" + std::string(spec.get(axis.name)));
      }
    }
    return texts;
  };
  std::size_t total = 0;
  for (const auto* op : fourge::all_ops()) {
    INFO(op->name);
    const auto all = fourge::tests::variants_for(*op, targets);
    const auto sample = fourge::tests::axis_value_sample(all, 21);
    std::size_t most = 0;
    for (const auto& axis : op->axes) most += axis.values.size();
    CHECK(values(sample) == values(all));
    CHECK(sample.size() <= most);
    total += sample.size();
  }
  INFO(total);
  CHECK(total < 250);  // what a sanitizer can take
}

TEST_CASE("a sample depends on its seed alone", "[sample]") {
  const auto all = all_of_quantize();
  CHECK(fourge::tests::pairwise_sample(all, 3) == fourge::tests::pairwise_sample(all, 3));
  CHECK_FALSE(fourge::tests::pairwise_sample(all, 3) == fourge::tests::pairwise_sample(all, 4));
}
