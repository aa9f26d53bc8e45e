// Which variant is taken for a call of some shape.
#include <fourge/launch_choice.hpp>
#include <fourge/nvfp4_quantize_per_token.hpp>

#include <algorithm>
#include <cstddef>
#include <string>

#include "tests/support/catch.hpp"

using fourge::CallShape;
using fourge::choose_launch;
using fourge::DeviceFacts;
using fourge::KernelSpec;
using fourge::launch_candidates;
using fourge::Target;

namespace {

constexpr DeviceFacts kH200{132};
constexpr CallShape kShapes[] = {{1, 7168},    {128, 7168},   {1024, 7168},
                                 {4096, 7168}, {16384, 7168}, {8192, 16384}};

KernelSpec spec_of(const std::string& text) {
  return KernelSpec::parse(text, Target::parse("sm_90a"));
}

// The values of an axis for kShapes, joined: "1 1 1 2 2 2".
std::string chosen(const std::string& text, const char* axis) {
  std::string values;
  for (const CallShape& shape : kShapes) {
    values += (values.empty() ? "" : " ") +
              std::string(choose_launch(spec_of(text), shape, kH200).get(axis));
  }
  return values;
}

// The values of an axis among the candidates, joined.
std::string candidates(const std::string& text, const char* axis, const CallShape& shape) {
  std::string values;
  for (const KernelSpec& spec : launch_candidates(spec_of(text), shape)) {
    values += (values.empty() ? "" : " ") + std::string(spec.get(axis));
  }
  return values;
}

bool only_speed(const std::string_view axis) { return axis == "tpc" || axis == "row"; }

}  // namespace

TEST_CASE("rows at a time by shape, as measured on an H200") {
  CHECK(chosen("nvfp4_quantize[]", "tpc") == "1 1 1 1 1 1");
  CHECK(chosen("nvfp4_quantize[math=fast]", "tpc") == "1 1 1 1 1 1");
  CHECK(chosen("nvfp4_quantize[layout=128x4]", "tpc") == "1 1 1 4 4 4");
  CHECK(chosen("nvfp4_quantize[layout=128x4,math=fast]", "tpc") == "1 1 1 4 4 4");
  CHECK(chosen("nvfp4_quantize[layout=8x4]", "tpc") == "1 1 1 1 4 4");
  CHECK(chosen("nvfp4_quantize[4over6=mae448]", "tpc") == "1 1 2 2 4 4");
  CHECK(chosen("nvfp4_quantize[4over6=mse256,layout=128x4]", "tpc") == "4 1 1 4 4 4");
  CHECK(chosen("nvfp4_quantize[4over6=mse256,layout=8x4]", "tpc") == "1 1 1 4 4 4");
  CHECK(chosen("nvfp4_quantize[scale=row]", "tpc") == "1 1 1 2 2 2");
  CHECK(chosen("nvfp4_quantize[scale=row_inv]", "tpc") == "1 1 1 2 2 2");
  CHECK(chosen("nvfp4_quantize[scale=tensor_inv]", "tpc") == "1 1 1 1 1 1");
  CHECK(chosen("mxfp4_quantize[]", "tpc") == "1 1 1 1 1 1");
  CHECK(chosen("mxfp4_quantize[layout=128x4]", "tpc") == "1 1 1 1 2 2");
  CHECK(chosen("mxfp8_quantize[]", "tpc") == "1 1 1 1 1 1");
  CHECK(chosen("mxfp8_quantize[layout=128x4]", "tpc") == "1 1 1 1 1 1");
}

TEST_CASE("dequantized rows at a time by shape, as measured on an H200") {
  CHECK(chosen("nvfp4_dequantize[out=bf16]", "tpc") == "2 2 2 2 4 4");
  CHECK(chosen("nvfp4_dequantize[out=f16,layout=128x4]", "tpc") == "1 2 4 4 4 4");
  CHECK(chosen("mxfp4_dequantize[out=bf16]", "tpc") == "1 2 4 2 2 2");
  CHECK(chosen("mxfp4_dequantize[out=bf16,layout=128x4]", "tpc") == "1 2 4 2 2 2");
  CHECK(chosen("mxfp8_dequantize[out=bf16]", "tpc") == "1 2 4 2 2 2");
  CHECK(chosen("mxfp8_dequantize[out=bf16,layout=128x4]", "tpc") == "1 1 1 1 4 4");
  for (const char* op : {"nvfp4_dequantize", "mxfp4_dequantize", "mxfp8_dequantize"}) {
    CAPTURE(op);
    CHECK(chosen(std::string(op) + "[out=f32,layout=8x4,tpc=4]", "tpc") == "1 1 1 1 1 1");
    // Not measured: as it was asked for.
    CHECK(chosen(std::string(op) + "[out=bf16,layout=8x4,tpc=4]", "tpc") == "4 4 4 4 4 4");
  }
}

TEST_CASE("what the spec said on an axis of speed does not matter, the device does") {
  const CallShape shape{4096, 7168};
  for (const char* tpc : {"1", "2", "4"}) {
    const auto spec = spec_of(std::string("nvfp4_quantize[layout=128x4,tpc=") + tpc + "]");
    CHECK(choose_launch(spec, shape, kH200).get("tpc") == "4");
    CHECK(choose_launch(spec, shape, DeviceFacts{1320}).get("tpc") == "1");
    CHECK(choose_launch(spec, shape, DeviceFacts{0}).get("tpc") == "4");
  }
}

TEST_CASE(
    "expanded tokens: block-FP8 SwiGLU by its CTAs, rows moved four at a time unless there are "
    "few") {
  const auto tpc = [](const char* op, std::int64_t tokens, std::int64_t cols) {
    return std::string(choose_launch(spec_of(op), {8 * tokens, cols}, kH200).get("tpc"));
  };
  CHECK(tpc("moe_swiglu_fp8_block", 1, 2048) == "1");
  CHECK(tpc("moe_swiglu_fp8_block", 165, 2048) == "1");
  CHECK(tpc("moe_swiglu_fp8_block", 166, 2048) == "2");
  CHECK(tpc("moe_swiglu_fp8_block", 528, 2048) == "2");
  CHECK(tpc("moe_swiglu_fp8_block", 529, 2048) == "4");
  CHECK(tpc("moe_permute", 1, 7168) == "1");
  CHECK(tpc("moe_permute", 4, 7168) == "1");
  CHECK(tpc("moe_permute", 5, 7168) == "4");
  CHECK(tpc("moe_permute", 4096, 7168) == "4");
  CHECK(tpc("moe_permute[by=token]", 4096, 7168) == "1");
}

TEST_CASE("the candidates are the variants with the same results that take the columns") {
  const CallShape shape{1024, 7168};
  CHECK(candidates("nvfp4_quantize[tpc=4]", "tpc", shape) == "1 2 4");
  CHECK(candidates("nvfp4_quantize[math=fast,tpc=4]", "math", shape) == "fast fast fast");
  CHECK(candidates("fp8_quantize_128x128", "in", shape) == "bf16");
  const char* per_token = "nvfp4_quantize_per_token[row=cluster]";
  CHECK(candidates(per_token, "row", shape) ==
        "registers registers2 registers1 cluster looped copied");
  CHECK(candidates(per_token, "row", {1, 16384}) ==
        "registers registers2 registers1 cluster looped copied");
  CHECK(candidates(per_token, "row", {1, 16400}) == "registers registers2 cluster looped copied");
  CHECK(candidates(per_token, "row", {1, 65552}) == "cluster looped");
  CHECK(candidates(per_token, "row", {1, 131088}) == "looped");
  CHECK(candidates("rmsnorm_quantize[]", "row", shape) ==
        "shared copied registers1 64x7 448x1 224x2");
  CHECK(candidates("rmsnorm_quantize[]", "row", {1, 7184}) == "shared copied registers1");
  CHECK(candidates("rmsnorm_quantize[residual=add]", "row", shape) == "shared copied registers1");
  CHECK(candidates("rmsnorm_quantize[]", "row", {1, 8208}) == "shared copied");
  CHECK(candidates("rmsnorm_quantize[]", "row", {1, 32784}) == "shared");
  const KernelSpec before = KernelSpec::parse("nvfp4_quantize_per_token[row=looped]@sm_89");
  CHECK(launch_candidates(before).size() == 4);  // no clusters
}

TEST_CASE("the choice is a candidate, for every variant") {
  std::size_t wrong = 0;
  for (const auto* op : fourge::all_ops()) {
    for (const KernelSpec& spec : fourge::legal_variants(*op, Target::parse("sm_90a"))) {
      if (spec != spec.fallback()) continue;
      for (const CallShape& shape : kShapes) {
        const auto all = launch_candidates(spec, shape);
        const KernelSpec choice = choose_launch(spec, shape, kH200);
        wrong += std::count(all.begin(), all.end(), choice) == 1 ? 0U : 1U;
        for (const KernelSpec& one : all) wrong += one.same_results(spec) ? 0U : 1U;
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("per token the operation's own rule decides") {
  for (const CallShape& shape : kShapes) {
    for (const char* layout : {"linear", "128x4"}) {
      for (const char* choice : {"off", "mae448"}) {
        const auto spec = spec_of(std::string("nvfp4_quantize_per_token[layout=") + layout +
                                  ",4over6=" + choice + "]");
        CHECK(choose_launch(spec, shape, kH200).get("row") ==
              fourge::nvfp4_per_token_row(shape.rows, shape.cols, layout,
                                          std::string(choice) != "off", spec.target(), kH200));
      }
    }
  }
}

TEST_CASE("every variant becomes a legal one that differs in speed only, and then stays") {
  std::size_t wrong = 0;
  for (const auto* op : fourge::all_ops()) {
    for (const KernelSpec& spec : fourge::legal_variants(*op, Target::parse("sm_90a"))) {
      for (const CallShape& shape : {CallShape{1, 7168}, CallShape{4096, 7168}, CallShape{0, 0},
                                     CallShape{std::int64_t{1} << 40, 65536}}) {
        const KernelSpec best = choose_launch(spec, shape, kH200);
        const std::string text = best.text();
        bool good = op->refusal(best).empty() && choose_launch(best, shape, kH200) == best;
        for (std::size_t axis = 0; axis < op->axes.size(); ++axis) {
          good = good && (best.index(axis) == spec.index(axis) || only_speed(op->axes[axis].name));
        }
        if (good) continue;
        ++wrong;
        WARN(spec.text() << " became " << text);
      }
    }
  }
  CHECK(wrong == 0);
}
