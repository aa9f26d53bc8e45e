#include "tests/support/variant_sample.hpp"

#include <fourge/nvfp4_quantize.hpp>

#include <cstdio>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>

#include "jit/pairwise_sample.hpp"

namespace fourge::tests {
namespace {

// By how much more of NVRTC's processor time these values take than the least of their axis, about; measured over
// the samples of all operations.
struct ValueCost {
  std::string_view axis;
  std::string_view value;
  double factor;
};
constexpr ValueCost kValueCosts[] = {
    {"algorithm", "two_shot", 1.45},
    {"act", "geglu_tanh", 1.4},
    {"format", "nvfp4", 1.3},
    {"layout", "128x4", 1.15},
    {"layout", "8x4", 1.15},
    {"math", "exact", 1.2},
    {"out", "fp8", 1.3},
    {"out", "mxfp8", 1.3},
    {"out", "norm", 1.3},
    {"out", "nvfp4", 1.8},
    {"ranks", "2", 1.2},
    {"ranks", "3", 1.2},
    {"ranks", "4", 1.2},
    {"ranks", "5", 1.35},
    {"ranks", "6", 1.4},
    {"ranks", "7", 1.4},
    {"ranks", "8", 1.5},
    {"residual", "add", 1.17},
    {"scale", "token", 1.2},
    {"staging", "on", 1.5},
    {"tpc", "2", 1.2},
    {"tpc", "4", 1.35},
};

double compile_cost(const KernelSpec& spec) {
  double cost = 1;
  for (const Axis& axis : spec.op().axes) {
    const std::string_view value = spec.get(axis.name);
    for (const ValueCost& dear : kValueCosts) {
      if (dear.axis == axis.name && dear.value == value) cost *= dear.factor;
    }
    if (axis.name == "4over6" && value != "off") cost *= 1.25;
    // In RMSNorm several blocks of a row for each thread.
    if (axis.name == "row" && spec.op().name == "rmsnorm_quantize") {
      cost *= value.ends_with("x1") ? 1.0 : 1.9;
    }
  }
  return cost;
}

}  // namespace

std::vector<KernelSpec> variants_for(const OpDefinition& op, std::span<const Target> targets) {
  std::vector<KernelSpec> all;
  for (const Target& target : targets) {
    const auto some = legal_variants(op, target);
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

std::vector<KernelSpec> basic_nvfp4_variants(const Target& target) {
  std::vector<KernelSpec> basic;
  for (const KernelSpec& spec : legal_variants(nvfp4_quantize_op(), target)) {
    if (spec.get("scale") == "tensor" && spec.get("4over6") == "off" && spec.get("in") != "e4m3") {
      basic.push_back(spec);
    }
  }
  return basic;
}

std::vector<KernelSpec> pairwise_sample(const std::vector<KernelSpec>& all, std::uint64_t seed,
                                        SampleTargets targets) {
  return jit::pairwise_sample(all, seed, {compile_cost, targets == SampleTargets::features});
}

std::vector<KernelSpec> axis_value_sample(const std::vector<KernelSpec>& all, std::uint64_t seed) {
  std::set<std::string> seen;
  std::vector<KernelSpec> sample;
  for (const KernelSpec& spec : pairwise_sample(all, seed)) {
    const std::string op = std::string(spec.op().name) + " ";
    bool shows_more = seen.insert(op + spec.target().text()).second;
    for (const Axis& axis : spec.op().axes) {
      const std::string value =
          op + std::string(axis.name) + "=" + std::string(spec.get(axis.name));
      shows_more = seen.insert(value).second || shows_more;
    }
    if (shows_more) sample.push_back(spec);
  }
  return sample;
}

bool full_run() {
  const char* value = std::getenv("FOURGE_FULL");
  return value != nullptr && std::string_view(value) == "1";
}

bool own_part(std::size_t number) {
  const char* text = std::getenv("FOURGE_PART");
  if (text == nullptr) return true;
  std::size_t part = 0;
  std::size_t parts = 0;
  if (std::sscanf(text, "%zu/%zu", &part, &parts) != 2 || part < 1 || part > parts) {
    throw std::runtime_error(std::string("FOURGE_PART is ") + text +
                             ", not I/N with I from 1 to N");
  }
  return number % parts == part - 1;
}

std::vector<KernelSpec> sampled(const std::vector<KernelSpec>& all, std::size_t most,
                                std::uint64_t seed) {
  return full_run() || all.size() <= most ? all : pairwise_sample(all, seed);
}

}  // namespace fourge::tests
