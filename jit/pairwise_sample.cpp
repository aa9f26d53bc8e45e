#include "jit/pairwise_sample.hpp"

#include <cstddef>
#include <random>
#include <set>
#include <tuple>

namespace fourge::jit {
namespace {

using Pair = std::tuple<std::size_t, std::size_t, std::size_t, std::size_t>;

// The axis values of a variant, the target last.
std::vector<std::size_t> values_of(const KernelSpec& spec) {
  std::vector<std::size_t> values;
  for (std::size_t axis = 0; axis < spec.op().axes.size(); ++axis) {
    values.push_back(spec.index(axis));
  }
  const auto& target = spec.target();
  values.push_back(static_cast<std::size_t>(target.major() * 1000 + target.minor() * 10) +
                   static_cast<std::size_t>(target.suffix()));
  return values;
}

template <class Visit>
void for_each_pair(const std::vector<std::size_t>& values, Visit visit) {
  for (std::size_t a = 0; a < values.size(); ++a) {
    for (std::size_t b = a + 1; b < values.size(); ++b) {
      visit(Pair{a, values[a], b, values[b]});
    }
  }
}

}  // namespace

std::vector<KernelSpec> pairwise_sample(const std::vector<KernelSpec>& all, std::uint64_t seed) {
  std::vector<std::vector<std::size_t>> values;
  std::set<Pair> open;
  for (const KernelSpec& spec : all) {
    values.push_back(values_of(spec));
    for_each_pair(values.back(), [&](const Pair& pair) { open.insert(pair); });
  }
  std::mt19937_64 random(seed);
  std::vector<KernelSpec> sample;
  while (!open.empty()) {
    // The best of some candidates, among them one that surely covers something new.
    std::size_t best = 0;
    std::size_t best_gain = 0;
    const auto consider = [&](std::size_t i) {
      std::size_t gain = 0;
      for_each_pair(values[i], [&](const Pair& pair) { gain += open.count(pair); });
      if (gain > best_gain) {
        best = i;
        best_gain = gain;
      }
    };
    for (int tries = 0; tries < 50; ++tries) {
      consider(static_cast<std::size_t>(random() % all.size()));
    }
    std::size_t next = 0;
    while (best_gain == 0) {
      consider(next++);
    }
    for_each_pair(values[best], [&](const Pair& pair) { open.erase(pair); });
    sample.push_back(all[best]);
  }
  return sample;
}

}  // namespace fourge::jit
