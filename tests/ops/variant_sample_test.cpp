#include "tests/support/variant_sample.hpp"

#include <fourge/nvfp4_quantize.hpp>

#include "tests/support/catch.hpp"

#include <algorithm>
#include <set>

using fourge::KernelSpec;
using fourge::Target;

TEST_CASE("a pairwise sample covers every legal pair of axis values", "[sample]") {
  const auto all = fourge::tests::variants_for(fourge::nvfp4_quantize_op(), Target::all());
  const auto sample = fourge::tests::pairwise_sample(all, 1);
  CHECK(sample.size() < all.size() / 4);
  const auto pairs = [](const std::vector<KernelSpec>& specs) {
    std::set<std::string> texts;
    for (const auto& spec : specs) {
      for (const auto& a : spec.op().axes) {
        for (const auto& b : spec.op().axes) {
          texts.insert(std::string(a.name) + "=" + std::string(spec.get(a.name)) + " " +
                       std::string(b.name) + "=" + std::string(spec.get(b.name)));
        }
        texts.insert(std::string(a.name) + "=" + std::string(spec.get(a.name)) + " " +
                     spec.target().text());
      }
    }
    return texts;
  };
  CHECK(pairs(sample) == pairs(all));
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
  const auto all = fourge::tests::variants_for(fourge::nvfp4_quantize_op(), Target::all());
  CHECK(fourge::tests::pairwise_sample(all, 3) == fourge::tests::pairwise_sample(all, 3));
  CHECK_FALSE(fourge::tests::pairwise_sample(all, 3) == fourge::tests::pairwise_sample(all, 4));
}
