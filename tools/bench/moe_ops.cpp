// What `fourge bench moe` measures: top 8 of 256 experts, 7168 hidden and 2048 inner columns.
#include <fmt/format.h>

#include <cstring>
#include <fourge/moe_activation_quantize.hpp>
#include <fourge/moe_expand_quantize.hpp>
#include <fourge/moe_finalize.hpp>
#include <fourge/moe_permute.hpp>
#include <fourge/moe_route.hpp>
#include <fourge/moe_route_maps.hpp>
#include <fourge/moe_swiglu_fp8_block.hpp>
#include <fourge/rmsnorm_quantize.hpp>
#include <type_traits>

#include "jit/axis_value.hpp"
#include "tools/bench/bench_ops.hpp"
#include "tools/bench/moe_check.hpp"
#include "tools/bench/moe_tables.hpp"

namespace fourge::tools {
namespace {

constexpr std::int64_t kHidden = 7168;
constexpr std::int64_t kInner = 2048;
constexpr float kFp8Scale = 0.01F;

std::size_t size(std::int64_t count) { return static_cast<std::size_t>(count); }

bool is_padded(const KernelSpec& spec) {
  if (spec.op().name == MoeActivationQuantizeArgs::kOp) return false;
  const std::string_view index = jit::axis_value(spec, "index");
  return index.empty() || index == "padded";
}

// Of the last one asked for, since measurements come shape by shape.
const MoeTables& tables_of(const KernelSpec& spec, const MatrixShape& shape) {
  struct Kept {
    std::int64_t tokens = -1;
    MoeTables tables;
  };
  thread_local Kept kept[2];
  Kept& entry = kept[is_padded(spec) ? 1 : 0];
  if (entry.tokens != shape.rows) {
    entry = {shape.rows, make_moe_tables(shape.rows, is_padded(spec))};
  }
  return entry.tables;
}

// Some operations have a member `rows` that is a map.
template <class Args, class = void>
constexpr bool kHasRowCount = false;
template <class Args>
constexpr bool kHasRowCount<Args, std::void_t<decltype(Args::rows)>> =
    std::is_same_v<decltype(Args::rows), std::int64_t>;

template <class Args>
void fill(const KernelSpec& spec, const MatrixShape& shape, void* pointer) {
  Args args;
  if constexpr (requires { args.tokens; }) args.tokens = shape.rows;
  if constexpr (requires { args.top_k; }) args.top_k = kBenchTopK;
  if constexpr (requires { args.experts; }) args.experts = kBenchExperts;
  if constexpr (requires { args.cols; }) args.cols = shape.cols;
  if constexpr (requires { args.x_cols; }) args.x_cols = shape.cols;
  if constexpr (requires { args.capacity; }) args.capacity = tables_of(spec, shape).capacity;
  if constexpr (kHasRowCount<Args>) {
    constexpr bool kExpanded = requires { args.experts; };
    args.rows = kExpanded ? shape.rows * kBenchTopK : shape.rows;
  }
  if constexpr (requires { args.tile; }) args.tile = is_padded(spec) ? kBenchTile : 1;
  if constexpr (requires { args.kept_groups; }) {
    args.groups = 8;
    args.kept_groups = 4;
    args.scale = 2.5F;
  }
  if constexpr (requires { args.scale_value; }) {
    const bool token = spec.get("scale") == "token";
    args.scale_value = token                      ? 1.0F / (448 * 6)
                       : spec.get("out") == "fp8" ? kFp8Scale
                                                  : moe_bench_encode_scale(spec);
  }
  std::memcpy(pointer, &args, sizeof(args));
}

template <class T>
std::vector<std::uint8_t> bytes_of(const std::vector<T>& values) {
  std::vector<std::uint8_t> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<std::uint8_t> exact(const KernelSpec& spec, const MatrixShape& shape,
                                std::string_view buffer) {
  if (buffer == "global_scale" || buffer == "scale") {
    const bool fp8 = jit::axis_value(spec, "out") == "fp8";
    return bytes_of(
        std::vector<float>(size(kBenchExperts), fp8 ? kFp8Scale : moe_bench_encode_scale(spec)));
  }
  if (buffer == "workspace") {
    return std::vector<std::uint8_t>(
        moe::expand_workspace_bytes(spec.get("format"), shape.rows, shape.cols));
  }
  const MoeTables& tables = tables_of(spec, shape);
  const bool inverse = jit::axis_value(spec, "rows") == "inverse";
  if (buffer == "ids" || buffer == "expert_ids") return bytes_of(tables.ids);
  if (buffer == "row_entries" || (buffer == "row_map" && inverse)) return bytes_of(tables.entries);
  if (buffer == "rows" || buffer == "row_map") return bytes_of(tables.rows);
  if (buffer == "expert_rows") return bytes_of(tables.expert_rows);
  if (buffer == "padded_rows") {
    return bytes_of(std::vector<std::int32_t>{static_cast<std::int32_t>(tables.used)});
  }
  return {};
}

// Bytes of a quantized element, its share of block scales included.
double quantized_bytes(std::string_view format) {
  return format == "nvfp4" ? 0.5625 : format == "mxfp8" ? 1.03125 : format == "fp8" ? 1 : 2;
}

std::size_t swiglu_bytes(const KernelSpec&, const MatrixShape& shape) {
  return size(shape.rows * kBenchTopK * (3 * shape.cols + 4 * 3 * (shape.cols / 128) + 4));
}

std::size_t permute_bytes(const KernelSpec& spec, const MatrixShape& shape) {
  const bool scales = spec.get("scales") == "block128";
  const std::int64_t row =
      shape.cols * (spec.get("bits") == "16" ? 2 : 1) + (scales ? shape.cols / 128 * 4 : 0);
  return size(shape.rows * row + shape.rows * kBenchTopK * (row + 4));
}

std::size_t expand_bytes(const KernelSpec& spec, const MatrixShape& shape) {
  const double out = quantized_bytes(spec.get("format")) * static_cast<double>(shape.cols);
  return size(shape.rows * 2 * shape.cols +
              shape.rows * kBenchTopK * (static_cast<std::int64_t>(out) + 4));
}

std::size_t activation_bytes(const KernelSpec& spec, const MatrixShape& shape) {
  const double out = quantized_bytes(spec.get("out")) * static_cast<double>(shape.cols);
  const auto act = spec.get("act");
  const bool gated = act.ends_with("glu") || act == "geglu_tanh" || act == "clamped";
  return size(shape.rows * kBenchTopK *
              ((gated ? 4 : 2) * shape.cols + static_cast<std::int64_t>(out)));
}

std::size_t finalize_bytes(const KernelSpec&, const MatrixShape& shape) {
  return size(shape.rows * (kBenchTopK * (2 * shape.cols + 8) + 2 * shape.cols));
}

std::string automatic_tpc(const MatrixShape& shape, int multiprocessors) {
  return fmt::format(
      "tpc={}", moe::swiglu_tokens_per_cta(shape.rows, kBenchTopK, shape.cols, multiprocessors));
}

std::vector<std::string> rmsnorm_variants() {
  std::vector<std::string> all;
  for (const char* axes :
       {"out=nvfp4", "out=nvfp4,layout=128x4", "out=nvfp4,4over6=mae448", "out=nvfp4,scale=token",
        "out=nvfp4,residual=add", "out=nvfp4,4over6=mae448,residual=add", "out=mxfp8", "out=fp8"}) {
    for (const char* row : {"shared", "copied", "registers1"}) {
      all.push_back(fmt::format("{},row={}", axes, row));
    }
  }
  for (const char* axes :
       {"row=64x7", "row=448x1", "row=224x2", "layout=128x4,row=64x7", "layout=128x4,row=224x2"}) {
    all.push_back(fmt::format("out=nvfp4,{}", axes));
  }
  return all;
}

std::vector<BenchOp> make_table() {
  std::vector<BenchOp> table;
  table.push_back(
      {MoeSwigluFp8BlockArgs::kOp,
       {"rows=map,tpc=1", "rows=map,tpc=2", "rows=map,tpc=4", "rows=map,tpc=auto",
        "rows=inverse,tpc=1", "rows=inverse,tpc=2", "rows=inverse,tpc=4", "rows=inverse,tpc=auto"},
       fill<MoeSwigluFp8BlockArgs>,
       {},
       kInner,
       exact,
       swiglu_bytes,
       check_moe_swiglu,
       automatic_tpc,
       kBenchTopK});
  table.push_back({MoePermuteArgs::kOp,
                   {"bits=16,tpc=1", "bits=16,tpc=4", "bits=8,scales=block128,tpc=1",
                    "bits=8,scales=block128,tpc=4", "bits=16,index=compact,tpc=4",
                    "bits=16,by=token", "bits=8,scales=block128,by=token"},
                   fill<MoePermuteArgs>,
                   {},
                   kHidden,
                   exact,
                   permute_bytes,
                   check_moe_permute,
                   nullptr,
                   kBenchTopK});
  table.push_back({MoeExpandQuantizeArgs::kOp,
                   {"", "layout=128x4", "layout=128x4,staging=on", "layout=128x4,index=compact",
                    "layout=128x4,index=compact,staging=on", "scale=expert", "scale=token",
                    "4over6=mae448", "format=mxfp8,scale=none", "format=fp8,scale=token"},
                   fill<MoeExpandQuantizeArgs>,
                   {"row_entries"},
                   kHidden,
                   exact,
                   expand_bytes,
                   check_moe_expand,
                   nullptr,
                   1,
                   [](const KernelSpec& spec, std::string_view buffer) {
                     return buffer == "row_entries" && spec.get("staging") == "on";
                   }});
  table.push_back({MoeActivationQuantizeArgs::kOp,
                   {"out=nvfp4", "out=nvfp4,layout=128x4,scale=expert", "out=nvfp4,scale=token",
                    "out=nvfp4,4over6=mae448", "out=mxfp8", "out=fp8", "out=fp8,scale=token",
                    "out=same", "act=geglu,out=nvfp4", "act=relu2,out=nvfp4"},
                   fill<MoeActivationQuantizeArgs>,
                   {"bias"},
                   kInner,
                   exact,
                   activation_bytes,
                   check_moe_activation});
  table.push_back({MoeFinalizeArgs::kOp,
                   {"", "index=compact", "weights=bf16", "shared=on"},
                   fill<MoeFinalizeArgs>,
                   {},
                   kHidden,
                   exact,
                   finalize_bytes,
                   check_moe_finalize});
  table.push_back(
      {MoeRouteTopkArgs::kOp,
       {"in=f32,method=softmax", "in=bf16,method=renormalize", "in=f32,method=deepseek"},
       fill<MoeRouteTopkArgs>,
       {"bias"},
       kBenchExperts,
       exact,
       nullptr,
       check_moe_route_topk});
  table.push_back({MoeRouteMapsArgs::kOp,
                   {"index=padded", "index=compact"},
                   fill<MoeRouteMapsArgs>,
                   {"tile_experts", "tile_limits", "tiles"},
                   kBenchExperts,
                   exact,
                   nullptr,
                   check_moe_route_maps});
  table.push_back({RmsnormQuantizeArgs::kOp,
                   rmsnorm_variants(),
                   fill<RmsnormQuantizeArgs>,
                   {"norm_out", "scale"},
                   kHidden,
                   nullptr,
                   nullptr,
                   check_rmsnorm});
  return table;
}

}  // namespace

std::span<const BenchOp> bench_moe_ops() {
  static const std::vector<BenchOp> kTable = make_table();
  return kTable;
}

}  // namespace fourge::tools
