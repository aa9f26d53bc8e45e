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

TEST_CASE("a sample depends on its seed alone", "[sample]") {
  const auto all = fourge::tests::variants_for(fourge::nvfp4_quantize_op(), Target::all());
  CHECK(fourge::tests::pairwise_sample(all, 3) == fourge::tests::pairwise_sample(all, 3));
  CHECK_FALSE(fourge::tests::pairwise_sample(all, 3) == fourge::tests::pairwise_sample(all, 4));
}
