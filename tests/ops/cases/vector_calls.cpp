#include "tests/ops/cases/vector_calls.hpp"

#include <fourge/nvfp4_quantize.hpp>
#include <fourge/nvfp4_quantize_per_token.hpp>

#include "reference/scale_layout.hpp"
#include "tests/support/four_over_six.hpp"
#include "tests/support/vectors.hpp"

namespace fourge::tests {
namespace {

const std::vector<VectorCase>& all_vectors() {
  static const std::vector<VectorCase> kCases = load_vectors();
  return kCases;
}

bool per_token(const KernelSpec& spec) { return spec.op().name == Nvfp4QuantizePerTokenArgs::kOp; }

// The name of the spec's configuration in the vectors.
std::string config_name(const KernelSpec& spec) {
  const auto config = four_over_six_of(spec);
  if (!config) {
    return "nvfp4";
  }
  return std::string("4over6-") +
         (config->metric == reference::ErrorMetric::mae ? "mae-" : "mse-") +
         std::to_string(config->e4m3_max) +
         (config->error_math == reference::ErrorMath::strict ? "-exact" : "-fp16err");
}

std::vector<std::uint8_t> placed_scales(const KernelSpec& spec, const VectorCase& vector,
                                        const VectorResult& answer) {
  const reference::ScaleMatrix matrix(reference::parse_scale_layout(spec.get("layout")),
                                      vector.rows, vector.cols / 16);
  std::vector<std::uint8_t> bytes(matrix.bytes());
  for (std::int64_t row = 0; row < matrix.rows(); ++row) {
    for (std::int64_t col = 0; col < matrix.cols(); ++col) {
      bytes[matrix.offset(row, col)] =
          answer.scales[static_cast<std::size_t>(row * matrix.cols() + col)];
    }
  }
  return bytes;
}

OpCall make_call(const KernelSpec& spec, const VectorCase& vector, bool scale_in_memory) {
  const bool token = per_token(spec);
  const VectorResult& answer = vector.result(config_name(spec), token ? "token" : "tensor");
  OpCall call{spec,
              "vector " + vector.name(),
              {input_buffer("x", vector.x), output_buffer("codes", answer.codes),
               output_buffer("scales", placed_scales(spec, vector, answer))},
              {},
              {}};
  if (token) {
    call.buffers.push_back(output_buffer("token_scales", answer.token_scales));
  } else {
    call.buffers.push_back(input_buffer("global_scale", std::vector<float>{answer.global_scale}));
  }
  call.args = [token, scale_in_memory, rows = vector.rows, cols = vector.cols,
               scale = token ? answer.global_scale_inverse
                             : answer.global_scale](std::span<std::uint8_t* const> at) {
    if (token) {
      Nvfp4QuantizePerTokenArgs args;
      args.x = at[0];
      args.codes = at[1];
      args.scales = at[2];
      args.token_scales = reinterpret_cast<float*>(at[3]);
      args.global_scale_inverse = scale;
      args.rows = rows;
      args.cols = cols;
      return args_bytes(args);
    }
    Nvfp4QuantizeArgs args;
    args.x = at[0];
    args.codes = at[1];
    args.scales = at[2];
    args.global_scale = scale_in_memory ? reinterpret_cast<const float*>(at[3]) : nullptr;
    args.global_scale_value = scale;
    args.rows = rows;
    args.cols = cols;
    return args_bytes(args);
  };
  return call;
}

// The value at `start` or the first one after it that the target takes: row=cluster needs sm_90.
void set_legal(KernelSpec& spec, std::string_view axis, std::span<const AxisValue> values,
               std::size_t start) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    spec.set(axis, values[(start + i) % values.size()].text);
    if (spec.op().refusal(spec).empty()) {
      return;
    }
  }
  spec.check();
}

}  // namespace

std::vector<KernelSpec> vector_specs(const Target& target) {
  std::vector<KernelSpec> specs;
  for (const std::string_view name : {Nvfp4QuantizeArgs::kOp, Nvfp4QuantizePerTokenArgs::kOp}) {
    const OpDefinition& op = find_op(name);
    const std::string_view free_axis = name == Nvfp4QuantizeArgs::kOp ? "tpc" : "row";
    std::span<const AxisValue> free_values;
    std::span<const AxisValue> configs;
    for (const Axis& axis : op.axes) {
      free_values = axis.name == free_axis ? axis.values : free_values;
      configs = axis.name == "4over6" ? axis.values : configs;
    }
    for (const char* type : {"bf16", "f16"}) {
      for (const char* layout : {"linear", "128x4", "8x4"}) {
        for (const AxisValue& config : configs) {
          KernelSpec spec(op, target);
          spec.set("in", type).set("layout", layout).set("math", "exact");
          spec.set("4over6", config.text);
          set_legal(spec, free_axis, free_values, specs.size() / 2);
          specs.push_back(spec);
        }
      }
    }
  }
  return specs;
}

void visit_vector_calls(const KernelSpec& spec, const CallSink& sink) {
  bool scale_in_memory = false;
  for (const VectorCase& vector : all_vectors()) {
    if (reference::to_string(vector.type) != spec.get("in")) {
      continue;
    }
    sink(make_call(spec, vector, scale_in_memory));
    scale_in_memory = !scale_in_memory;
  }
}

}  // namespace fourge::tests
