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

std::vector<KernelSpec> pairwise_sample(const std::vector<KernelSpec>& all, std::uint64_t seed) {
  return jit::pairwise_sample(all, seed);
}

std::vector<KernelSpec> axis_value_sample(const std::vector<KernelSpec>& all, std::uint64_t seed) {
  std::set<std::string> seen;
  std::vector<KernelSpec> sample;
  for (const KernelSpec& spec : pairwise_sample(all, seed)) {
    bool shows_more = seen.insert(spec.target().text()).second;
    for (const Axis& axis : spec.op().axes) {
      const std::string value = std::string(axis.name) + "=" + std::string(spec.get(axis.name));
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
