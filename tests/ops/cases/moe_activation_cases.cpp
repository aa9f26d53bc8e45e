#include "tests/ops/cases/moe_activation_cases.hpp"

#include <fourge/moe_activation_quantize.hpp>

#include "reference/moe_activation.hpp"
#include "reference/parallel_rows.hpp"
#include "reference/scale_layout.hpp"
#include "tests/support/patterns.hpp"
#include "tests/support/value_quantizer.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace fourge::tests {
namespace {

using Elements = std::vector<std::uint16_t>;

struct Input {
  std::int64_t capacity = 0;
  std::int64_t cols = 0;
  std::vector<std::int64_t> expert_rows;  // empty: one matrix
  bool bias = false;
  bool scale_in_memory = false;
  Pattern pattern = Pattern::random;
  std::uint64_t seed = 0;
  reference::ActivationForm form;
};

struct Data {
  Elements x;
  Elements bias;
  std::vector<float> scale;  // given
  std::vector<std::uint8_t> q;
  std::vector<std::uint8_t> scales;
  std::vector<float> token_scales;
};

reference::ActivationForm form_of(const KernelSpec& spec) {
  constexpr std::array<const char*, 8> kNames{"swiglu", "geglu", "geglu_tanh", "clamped",
                                              "relu2",  "silu",  "gelu",       "identity"};
  reference::ActivationForm form;
  const auto found = std::find(kNames.begin(), kNames.end(), std::string(spec.get("act")));
  form.kind = static_cast<reference::ActivationKind>(found - kNames.begin());
  form.gate_first = spec.get("order") == "gate_first";
  form.rounded = spec.get("round") == "rounded";
  return form;
}

std::int64_t tile_of(const KernelSpec& spec) {
  return spec.get("layout") == "128x4" ? 128 : spec.get("layout") == "8x4" ? 8 : 1;
}

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Fills in what the kernel reads, and what it must write, row by row.
class Expectation {
 public:
  Expectation(const KernelSpec& spec, const Input& input)
      : spec_(spec),
        input_(input),
        quantizer_(value_quantizer_of(spec)),
        same_(spec.get("out") == "same"),
        experts_(input.expert_rows.empty() ? 0 : std::ssize(input.expert_rows) - 1),
        width_((is_gated(input.form.kind) ? 2 : 1) * input.cols) {
    data_.x = make_input(input.pattern, quantizer_.type, input.capacity, width_, input.seed);
    if (input.bias) {
      data_.bias = make_input(Pattern::random, quantizer_.type, std::max<std::int64_t>(1, experts_),
                              width_, input.seed + 77);
    }
    const std::int64_t count = spec.get("scale") == "expert" ? experts_ : 1;
    for (std::int64_t e = 0; e < count; ++e) {
      const float base = spec.get("out") == "fp8" ? 0.031F : 97.0F;
      data_.scale.push_back(base * (1.0F + 0.37F * static_cast<float>(e)));
    }
  }

  Data take() {
    const std::size_t element = same_ ? 2 : 1;
    const auto values = static_cast<std::size_t>(input_.capacity * input_.cols);
    data_.q.assign(values * element / (spec_.get("out") == "nvfp4" ? 2 : 1), kPoison);
    const float poison = poison_float();
    data_.token_scales.assign(static_cast<std::size_t>(input_.capacity), poison);
    put_scale_padding();
    if (experts_ == 0) {
      put_rows(0, 0, input_.capacity, 0);
    }
    for (std::int64_t e = 0; e < experts_; ++e) {
      const std::int64_t first = input_.expert_rows[static_cast<std::size_t>(e)];
      put_rows(e, first, input_.expert_rows[static_cast<std::size_t>(e) + 1] - first, region(e));
    }
    return std::move(data_);
  }

 private:
  static float poison_float() {
    float value = 0;
    constexpr std::uint32_t kWord = 0xA5A5A5A5U;
    std::memcpy(&value, &kWord, sizeof(value));
    return value;
  }

  bool has_scales() const { return spec_.get("out") == "nvfp4" || spec_.get("out") == "mxfp8"; }

  std::int64_t region(std::int64_t expert) const {
    const std::int64_t tile = tile_of(spec_);
    return round_up(input_.expert_rows[static_cast<std::size_t>(expert)] + (tile - 1) * expert,
                    tile);
  }

  reference::ScaleMatrix matrix() const {
    const std::int64_t rows =
        input_.capacity + (experts_ == 0 ? 0 : (tile_of(spec_) - 1) * experts_);
    return {reference::parse_scale_layout(spec_.get("layout")), rows,
            input_.cols / (spec_.get("out") == "nvfp4" ? 16 : 32)};
  }

  // Zero in all rows below the end of the last expert's tiles, the poison beyond.
  void put_scale_padding() {
    if (!has_scales()) {
      return;
    }
    const auto scales = matrix();
    data_.scales.assign(scales.bytes(), kPoison);
    const std::int64_t end = experts_ == 0                     ? scales.padded_rows()
                             : spec_.get("layout") == "linear" ? input_.expert_rows.back()
                                                               : region(experts_);
    for (std::int64_t row = 0; row < end; ++row) {
      for (std::int64_t col = 0; col < scales.padded_cols(); ++col) {
        data_.scales[scales.offset(row, col)] = 0;
      }
    }
  }

  void put_rows(std::int64_t expert, std::int64_t first, std::int64_t count,
                std::int64_t first_scale) {
    // Rows do not share a byte.
    const auto threads =
        std::min<std::int64_t>(std::thread::hardware_concurrency(), count * width_ / 65536);
    const auto put = [this, expert, first, first_scale](std::int64_t begin, std::int64_t end) {
      const auto width = static_cast<std::size_t>(width_);
      const auto bias = data_.bias.empty()
                            ? std::span<const std::uint16_t>{}
                            : std::span<const std::uint16_t>(data_.bias)
                                  .subspan(static_cast<std::size_t>(expert) * width, width);
      for (std::int64_t i = begin; i < end; ++i) {
        const auto x =
            std::span(data_.x).subspan(static_cast<std::size_t>(first + i) * width, width);
        put_row(expert, first + i, first_scale + i,
                activate_row(x, bias, quantizer_.type, input_.form));
      }
    };
    reference::parallel_rows(count, static_cast<unsigned>(threads), put);
  }

  void put_row(std::int64_t expert, std::int64_t row, std::int64_t scale_row,
               const std::vector<float>& y) {
    std::vector<std::uint8_t> bytes;
    if (same_) {
      for (const float v : y) {
        const std::uint16_t bits =
            v != v ? std::uint16_t{0x7FFF} : reference::from_float(quantizer_.type, v);
        bytes.push_back(static_cast<std::uint8_t>(bits & 0xFFU));
        bytes.push_back(static_cast<std::uint8_t>(bits >> 8));
      }
    } else {
      reference::ValueQuantizer quantizer = quantizer_;
      if (!quantizer.per_token) {
        quantizer.scale =
            data_.scale[spec_.get("scale") == "expert" ? static_cast<std::size_t>(expert) : 0];
      }
      auto result = quantize_values(y, quantizer);
      bytes = std::move(result.codes);
      for (std::size_t c = 0; c < result.scales.size(); ++c) {
        data_.scales[matrix().offset(scale_row, static_cast<std::int64_t>(c))] = result.scales[c];
      }
      data_.token_scales[static_cast<std::size_t>(row)] = result.token_scale;
    }
    std::copy(bytes.begin(), bytes.end(), data_.q.begin() + row * std::ssize(bytes));
  }

  const KernelSpec& spec_;
  const Input& input_;
  reference::ValueQuantizer quantizer_;
  bool same_;
  std::int64_t experts_;
  std::int64_t width_;
  Data data_;
};

OpCall make_call(const KernelSpec& spec, const Input& input, std::string label) {
  const Data data = Expectation(spec, input).take();
  const bool per_token = spec.get("scale") == "token";
  OpCall call{spec,
              std::move(label),
              {input_buffer("x", data.x), input_buffer("bias", data.bias),
               output_buffer("q", data.q), output_buffer("scales", data.scales),
               output_buffer("token_scales", per_token ? data.token_scales : std::vector<float>{}),
               input_buffer("scale", data.scale), input_buffer("expert_rows", input.expert_rows)},
              {},
              {}};
  const bool in_memory =
      spec.get("scale") == "expert" || (spec.get("scale") == "tensor" && input.scale_in_memory);
  const float value = per_token ? value_quantizer_of(spec).scale : data.scale[0];
  call.args = [=](std::span<std::uint8_t* const> at) {
    MoeActivationQuantizeArgs args;
    args.x = at[0];
    args.bias = input.bias ? at[1] : nullptr;
    args.q = at[2];
    args.scales = at[3];
    args.token_scales = reinterpret_cast<float*>(at[4]);
    args.scale = in_memory ? reinterpret_cast<const float*>(at[5]) : nullptr;
    args.scale_value = in_memory ? 1.0F : value;
    if (!input.expert_rows.empty()) {
      args.expert_rows = reinterpret_cast<const std::int64_t*>(at[6]);
      args.experts = std::ssize(input.expert_rows) - 1;
    }
    args.limit = input.form.limit;
    args.alpha = input.form.alpha;
    args.beta = input.form.beta;
    args.rows = input.capacity;
    args.cols = input.cols;
    return args_bytes(args);
  };
  return call;
}

std::vector<std::int64_t> starts_of(const std::vector<std::int64_t>& counts) {
  std::vector<std::int64_t> starts{0};
  for (const std::int64_t count : counts) {
    starts.push_back(starts.back() + count);
  }
  return starts;
}

// Few rows for many experts, two at the very ends among them.
std::vector<std::int64_t> sparse_counts(std::size_t experts) {
  std::vector<std::int64_t> counts(experts);
  for (const std::size_t i : {std::size_t{0}, experts / 3, experts / 2, experts / 2 + 1}) {
    counts[i] = 1;
  }
  counts.back() = 3;
  return counts;
}

struct Shape {
  std::int64_t rows;
  std::int64_t cols;
  std::vector<std::int64_t> counts;  // of experts; empty: one matrix
};

const std::vector<Shape>& small_shapes() {
  static const std::vector<Shape> shapes{{0, 64, {}},
                                         {1, 32, {}},
                                         {5, 80, {}},
                                         {3, 1056, {}},
                                         {4, 64, {0, 0}},
                                         {7, 48, {0, 5, 0}},
                                         {400, 32, {127, 0, 128, 1, 129}}};
  return shapes;
}

}  // namespace

void visit_moe_activation_quantize_calls(const KernelSpec& spec, CallSize size,
                                         const CallSink& sink) {
  std::uint64_t seed = 1300;
  const auto visit = [&](const Shape& shape, Pattern pattern) {
    if ((spec.get("scale") == "expert" && shape.counts.empty()) ||
        (spec.get("out") == "mxfp8" && shape.cols % 32 != 0)) {
      return;
    }
    ++seed;
    Input input;
    input.capacity = shape.rows;
    input.cols = shape.cols;
    input.expert_rows =
        shape.counts.empty() ? std::vector<std::int64_t>{} : starts_of(shape.counts);
    input.bias = seed % 2 == 0;
    input.scale_in_memory = seed % 3 == 0;
    input.pattern = pattern;
    input.seed = seed;
    input.form = form_of(spec);
    if (seed % 3 == 1) {
      input.form.alpha = 0.5F;
      input.form.beta = 0.0F;
    }
    if (seed % 4 == 1) {
      input.form.limit = std::numeric_limits<float>::infinity();
    }
    sink(make_call(spec, input,
                   std::to_string(shape.rows) + "x" + std::to_string(shape.cols) + " of " +
                       std::to_string(shape.counts.size()) + " experts, " + to_string(pattern)));
  };
  // A warp takes a whole row, if there is no bias, as every other call has. 16 rows for each multiprocessor.
  const bool by_warps =
      spec.get("scale") == "token" ? spec.get("layout") == "linear" : spec.get("out") == "nvfp4";
  if (size == CallSize::large && by_warps) {
    for (const std::int64_t cols : {1024, 1536, 2048, 4096}) {
      visit({2200, cols, {}}, Pattern::random);
      visit({2200, cols, {2000, 100}}, Pattern::specials);
      visit({2201, cols, {2000, 100}}, Pattern::random);
    }
  }
  if (size == CallSize::large) {
    visit({1100, 2048, {}}, Pattern::random);
    visit({700, 2048, {250, 0, 127, 128, 129, 1, 60}}, Pattern::random);
    visit({40, 16416, {}}, Pattern::random);
    visit({9, 2048, sparse_counts(1100)}, Pattern::random);
    visit({9000, 512, {2500, 0, 127, 2877, 3496}}, Pattern::random);
    visit({66000, 64, {30000, 1, 0, 35998, 1}}, Pattern::random);
    return;
  }
  for (const Shape& shape : small_shapes()) {
    visit(shape, Pattern::random);
    if (shape.rows <= 7) {
      visit(shape, Pattern::specials);
      visit(shape, Pattern::subnormals);
      visit(shape, Pattern::boundary);
      visit(shape, Pattern::maxes);
      visit(shape, Pattern::zeros);
    }
  }
  visit({2, 8288, {}}, Pattern::random);  // computed twice
  visit({9, 32, sparse_counts(70)}, Pattern::random);
  if (by_warps) {
    for (const Pattern pattern : all_patterns()) {
      visit({17, 1024, {}}, pattern);
      visit({19, 1024, {5, 0, 11}}, pattern);
      visit({17, 1536, {}}, pattern);
    }
  }
  if (spec.get("act") == "relu2" && spec.get("in") == "bf16") {
    visit({8197, 32, {2047, 0, 3001, 1, 3148}}, Pattern::random);  // several rows a thread
  }
}

}  // namespace fourge::tests
