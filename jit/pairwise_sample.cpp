#include "jit/pairwise_sample.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <queue>
#include <random>
#include <tuple>

namespace fourge::jit {
namespace {

// Numbers the pairs of axis values of an operation, a target or its features being the last axis.
class Pairs {
 public:
  Pairs(const std::vector<KernelSpec>& all, bool by_features) : by_features_(by_features) {
    for (const Axis& axis : all.front().op().axes) {
      sizes_.push_back(axis.values.size());
    }
    for (const KernelSpec& spec : all) {
      if (place(spec.target()) == kinds_.size()) kinds_.push_back(spec.target());
    }
    sizes_.push_back(kinds_.size());
    for (std::size_t a = 0; a < sizes_.size(); ++a) {
      for (std::size_t b = a + 1; b < sizes_.size(); ++b) {
        count_ += sizes_[a] * sizes_[b];
      }
    }
  }

  [[nodiscard]] std::size_t count() const { return count_; }

  [[nodiscard]] std::vector<std::size_t> of(const KernelSpec& spec) const {
    std::vector<std::size_t> values;
    for (std::size_t axis = 0; axis + 1 < sizes_.size(); ++axis) {
      values.push_back(spec.index(axis));
    }
    values.push_back(place(spec.target()));
    std::vector<std::size_t> pairs;
    std::size_t first = 0;
    for (std::size_t a = 0; a < sizes_.size(); ++a) {
      for (std::size_t b = a + 1; b < sizes_.size(); ++b) {
        pairs.push_back(first + values[a] * sizes_[b] + values[b]);
        first += sizes_[a] * sizes_[b];
      }
    }
    return pairs;
  }

 private:
  [[nodiscard]] std::size_t place(const Target& target) const {
    const auto found = std::find_if(kinds_.begin(), kinds_.end(), [&](const Target& kind) {
      return by_features_ ? kind.features() == target.features() : kind == target;
    });
    return static_cast<std::size_t>(found - kinds_.begin());
  }

  bool by_features_;
  std::vector<std::size_t> sizes_;  // how many values each axis has
  std::vector<Target> kinds_;       // a target of each kind
  std::size_t count_ = 0;
};

// Which pairs each variant has, and how often each pair has been taken.
struct PairTable {
  PairTable(const std::vector<KernelSpec>& all, bool by_features) {
    const Pairs pairs(all, by_features);
    times.resize(pairs.count());
    of.reserve(all.size());
    for (const KernelSpec& spec : all) {
      of.push_back(pairs.of(spec));
    }
  }
  [[nodiscard]] std::size_t new_ones(std::size_t variant) const {
    return static_cast<std::size_t>(std::count_if(of[variant].begin(), of[variant].end(),
                                                  [&](auto pair) { return times[pair] == 0; }));
  }
  [[nodiscard]] bool is_needless(std::size_t variant) const {
    return std::all_of(of[variant].begin(), of[variant].end(),
                       [&](auto pair) { return times[pair] > 1; });
  }
  void take(std::size_t variant) {
    for (const std::size_t pair : of[variant]) ++times[pair];
  }
  void put_back(std::size_t variant) {
    for (const std::size_t pair : of[variant]) --times[pair];
  }

  std::vector<std::vector<std::size_t>> of;
  std::vector<std::uint32_t> times;
};

class Cover {
 public:
  Cover(const std::vector<KernelSpec>& all, const SampleRules& rules)
      : wanted_(all, rules.by_features) {
    if (rules.by_features) welcome_.emplace(all, false);
    for (const KernelSpec& spec : all) {
      costs_.push_back(rules.cost ? rules.cost(spec) : 1.0);
    }
  }

  std::vector<std::size_t> sample(std::uint64_t seed) {
    std::vector<std::size_t> chosen = choose(seed);
    leave_out_needless(chosen);
    return chosen;
  }

 private:
  // How much it covers for its cost, a number to choose among equal ones, and which variant.
  using Candidate = std::tuple<double, std::uint64_t, std::size_t>;

  // What is merely welcome decides between variants with as many wanted pairs for their cost.
  [[nodiscard]] double score(std::size_t variant) const {
    constexpr double kWelcome = 1e-3;
    const std::size_t wanted = wanted_.new_ones(variant);
    if (wanted == 0) return 0;
    const std::size_t welcome = welcome_ ? welcome_->new_ones(variant) : 0;
    return (static_cast<double>(wanted) + kWelcome * static_cast<double>(welcome)) /
           costs_[variant];
  }

  // A score never grows while others are chosen, so that the best of the old ones, if it is still what it was,
  // is the best.
  std::vector<std::size_t> choose(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::priority_queue<Candidate> candidates;
    for (std::size_t i = 0; i < costs_.size(); ++i) {
      candidates.emplace(score(i), random(), i);
    }
    std::vector<std::size_t> chosen;
    while (!candidates.empty()) {
      const auto [old, tie, variant] = candidates.top();
      candidates.pop();
      const double now = score(variant);
      if (now == 0) continue;
      if (now < old) {
        candidates.emplace(now, tie, variant);
        continue;
      }
      wanted_.take(variant);
      if (welcome_) welcome_->take(variant);
      chosen.push_back(variant);
    }
    return chosen;
  }

  // Those whose pairs others have by now, the dearest first.
  void leave_out_needless(std::vector<std::size_t>& chosen) {
    std::vector<std::size_t> order = chosen;
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return costs_[a] > costs_[b]; });
    for (const std::size_t variant : order) {
      if (wanted_.is_needless(variant)) {
        wanted_.put_back(variant);
        std::erase(chosen, variant);
      }
    }
  }

  PairTable wanted_;
  std::optional<PairTable> welcome_;  // with each target, where its features are wanted
  std::vector<double> costs_;
};

}  // namespace

std::vector<KernelSpec> pairwise_sample(const std::vector<KernelSpec>& all, std::uint64_t seed,
                                        const SampleRules& rules) {
  // Axes are of an operation, so each has its own cover.
  std::vector<std::vector<KernelSpec>> by_op;
  for (const KernelSpec& spec : all) {
    const auto same = std::find_if(by_op.begin(), by_op.end(), [&](const auto& others) {
      return &others.front().op() == &spec.op();
    });
    if (same != by_op.end()) {
      same->push_back(spec);
    } else {
      by_op.push_back({spec});
    }
  }
  std::vector<KernelSpec> sample;
  for (const std::vector<KernelSpec>& of_op : by_op) {
    for (const std::size_t variant : Cover(of_op, rules).sample(seed)) {
      sample.push_back(of_op[variant]);
    }
  }
  return sample;
}

}  // namespace fourge::jit
