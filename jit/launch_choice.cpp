#include <fourge/launch_choice.hpp>
#include <fourge/moe_permute.hpp>
#include <fourge/moe_swiglu_fp8_block.hpp>
#include <fourge/nvfp4_quantize_per_token.hpp>
#include <fourge/rmsnorm_quantize.hpp>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "jit/axis_value.hpp"

namespace fourge {
namespace {

// Elements for each multiprocessor. On 132 of them, rows of 7168: up to five rows, 300, 2000, 8000, and more.
enum SizeClass : std::size_t { kFew, kSmall, kMiddle, kLarge, kHuge };

double elements_each(const CallShape& shape, const DeviceFacts& device) {
  return static_cast<double>(shape.rows) * static_cast<double>(shape.cols) /
         std::max(1, device.multiprocessors);
}

SizeClass size_class(const CallShape& shape, const DeviceFacts& device) {
  const double elements = elements_each(shape, device);
  if (elements < 300) return kFew;
  if (elements < 16'000) return kSmall;
  if (elements < 110'000) return kMiddle;
  return elements < 440'000 ? kLarge : kHuge;
}

// Rows of a table: the first that fits decides. Empty: any value.
struct Rule {
  std::string_view op;
  std::string_view layout;
  bool four_over_six;
  std::array<std::string_view, 5> tpc;  // by SizeClass
  std::string_view axis = {};           // if one is named, its value begins so
  std::string_view value = {};
};

constexpr Rule kRules[] = {
    {"nvfp4_quantize", "linear", false, {"1", "1", "1", "2", "2"}, "scale", "row"},
    {"nvfp4_quantize", "linear", false, {"1", "1", "1", "1", "1"}},
    {"nvfp4_quantize", "128x4", false, {"1", "1", "1", "4", "4"}},
    {"nvfp4_quantize", "8x4", false, {"1", "1", "1", "1", "4"}},
    {"nvfp4_quantize", "linear", true, {"1", "1", "2", "2", "4"}},
    // Fewer CTAs for the padding of a tile.
    {"nvfp4_quantize", "128x4", true, {"4", "1", "1", "4", "4"}},
    {"nvfp4_quantize", "", true, {"1", "1", "1", "4", "4"}},
    {"mxfp4_quantize", "linear", false, {"1", "1", "1", "1", "1"}},
    {"mxfp4_quantize", "", false, {"1", "1", "1", "1", "2"}},
    {"mxfp8_quantize", "", false, {"1", "1", "1", "1", "1"}},
    // Of 32 bits much more is written than read, and one row at a time writes quickest (8x4 not measured).
    {"nvfp4_dequantize", "", false, {"1", "1", "1", "1", "1"}, "out", "f32"},
    {"mxfp4_dequantize", "", false, {"1", "1", "1", "1", "1"}, "out", "f32"},
    {"mxfp8_dequantize", "", false, {"1", "1", "1", "1", "1"}, "out", "f32"},
    {"nvfp4_dequantize", "linear", false, {"2", "2", "2", "2", "4"}},
    {"nvfp4_dequantize", "128x4", false, {"1", "2", "4", "4", "4"}},
    {"mxfp4_dequantize", "linear", false, {"1", "2", "4", "2", "2"}},
    {"mxfp4_dequantize", "128x4", false, {"1", "2", "4", "2", "2"}},
    {"mxfp8_dequantize", "linear", false, {"1", "2", "4", "2", "2"}},
    {"mxfp8_dequantize", "128x4", false, {"1", "1", "1", "1", "4"}}};

bool has_four_over_six(const KernelSpec& spec) {
  const std::string_view value = jit::axis_value(spec, "4over6");
  return !value.empty() && value != "off";
}

bool fits(const Rule& rule, const KernelSpec& spec) {
  return rule.op == spec.op().name && rule.four_over_six == has_four_over_six(spec) &&
         (rule.layout.empty() || rule.layout == jit::axis_value(spec, "layout")) &&
         (rule.axis.empty() || jit::axis_value(spec, rule.axis).starts_with(rule.value));
}

// Whether calls of so many columns are within what the variant can hold.
bool takes_columns(const KernelSpec& spec, std::int64_t cols) {
  if (spec.op().name == RmsnormQuantizeArgs::kOp) {
    const std::int64_t exact = rmsnorm_quantize_columns(spec);
    const std::int64_t most = rmsnorm_quantize_most_columns(spec);
    return exact != 0 ? cols == exact : most == 0 || cols <= most;
  }
  if (spec.op().name != Nvfp4QuantizePerTokenArgs::kOp) return true;
  const std::int64_t most = nvfp4_per_token_most_columns(spec);
  return most == 0 || cols <= most;
}

}  // namespace

KernelSpec choose_launch(const KernelSpec& spec, const CallShape& shape,
                         const DeviceFacts& device) {
  KernelSpec chosen = spec;
  if (spec.op().name == MoeSwigluFp8BlockArgs::kOp) {
    const int rows = moe::swiglu_tokens_per_cta(shape.rows, 1, shape.cols, device.multiprocessors);
    chosen.set("tpc", rows == 4 ? "4" : rows == 2 ? "2" : "1");
  } else if (spec.op().name == MoePermuteArgs::kOp) {
    // A token of eight experts is moved faster one row at a time, 32 of them and more are not.
    chosen.set("tpc", elements_each(shape, device) < 2000 ? "1" : "4");
  } else if (spec.op().name == Nvfp4QuantizePerTokenArgs::kOp) {
    chosen.set("row", nvfp4_per_token_row(shape.rows, shape.cols, spec.get("layout"),
                                          has_four_over_six(spec), spec.target(), device));
  } else if (spec.op().name == RmsnormQuantizeArgs::kOp) {
    chosen.set("row", rmsnorm_quantize_row(spec, shape.rows, shape.cols, device));
  } else {
    const auto* const rule = std::find_if(std::begin(kRules), std::end(kRules),
                                          [&](const Rule& one) { return fits(one, spec); });
    if (rule == std::end(kRules)) return spec;
    chosen.set("tpc", rule->tpc[size_class(shape, device)]);
  }
  return spec.op().refusal(chosen).empty() ? chosen : spec;
}

std::vector<KernelSpec> launch_candidates(const KernelSpec& spec,
                                          const std::optional<CallShape>& shape) {
  std::vector<KernelSpec> all{spec};
  for (std::size_t i = 0; i < spec.op().axes.size(); ++i) {
    const Axis& axis = spec.op().axes[i];
    if (axis.general.empty()) continue;
    std::vector<KernelSpec> more;
    for (KernelSpec one : all) {
      for (std::size_t value = 0; value < axis.values.size(); ++value) {
        more.push_back(one.set_index(i, value));
      }
    }
    all = std::move(more);
  }
  std::erase_if(all, [&](const KernelSpec& one) {
    return !spec.op().refusal(one).empty() || (shape && !takes_columns(one, shape->cols));
  });
  return all;
}

}  // namespace fourge
