#include <fourge/allreduce_rmsnorm_quantize.hpp>
#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/rmsnorm_quantize.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/quantize_axes.hpp"
#include "jit/ops/row_launch.hpp"

#include <fmt/format.h>
#include <cmath>

namespace fourge {
namespace {

constexpr std::int64_t kLeastColumns = 1024;
constexpr std::int64_t kMostColumns = 16384;

constexpr AxisValue kRankValues[] = {{"1", "1", "one rank, by itself"},
                                     {"2", "2", "2 ranks"},
                                     {"3", "3", "3 ranks"},
                                     {"4", "4", "4 ranks"},
                                     {"5", "5", "5 ranks"},
                                     {"6", "6", "6 ranks"},
                                     {"7", "7", "7 ranks"},
                                     {"8", "8", "8 ranks"}};
constexpr AxisValue kAlgorithmValues[] = {
    {"one_shot", "fourge_device::Algorithm::one_shot", "every rank adds up all rows"},
    {"two_shot", "fourge_device::Algorithm::two_shot", "every rank adds up a part of each row"}};
constexpr AxisValue kOutValues[] = {
    {"sum", "fourge_device::AllreduceOut::sum", "the sum alone"},
    {"norm", "fourge_device::AllreduceOut::norm", "its norm, not quantized"},
    {"nvfp4", "fourge_device::AllreduceOut::nvfp4", "E2M1 with an E4M3 scale for 16"},
    {"mxfp8", "fourge_device::AllreduceOut::mxfp8", "E4M3 with a UE8M0 scale for 32"},
    {"fp8", "fourge_device::AllreduceOut::fp8", "E4M3 without block scales"}};
constexpr AxisValue kAccumulateValues[] = {
    {"f32", "fourge_device::Accumulate::f32", "one rounding at the end"},
    {"type", "fourge_device::Accumulate::type", "rounded to the type of x after every rank"}};

constexpr Axis kAxes[] = {
    jit::kInput16Axis,
    {"ranks", "kRanks", "ranks of the group", kRankValues},
    // No general one: a rank that fell back by itself would wait for what the others never send.
    {"algorithm", "kAlgorithm", "how ranks get the sum: the result is equal", kAlgorithmValues},
    {"out", "kOut", "what follows the sum", kOutValues},
    jit::kScaleLayoutAxis,
    jit::scaling_axis(2),
    jit::kFourOverSixExactAxis,
    {"order", "kRounding", "where values are rounded to the type of x", jit::kRoundingValues},
    jit::kNormWeightAxis,
    {"accumulate", "kAccumulate", "where the sum is rounded", kAccumulateValues},
    jit::kExactMathAxis};

using Args = AllreduceRmsnormQuantizeArgs;

constexpr std::size_t peer_offset(std::size_t rank) {
  return offsetof(Args, peers) + rank * sizeof(void*);
}

constexpr Param kParams[] = {
    {"x", "const void*", offsetof(Args, x), sizeof(Args::x)},
    {"residual", "const void*", offsetof(Args, residual), sizeof(Args::residual)},
    {"weight", "const void*", offsetof(Args, weight), sizeof(Args::weight)},
    {"sum_out", "void*", offsetof(Args, sum_out), sizeof(Args::sum_out)},
    {"residual_out", "void*", offsetof(Args, residual_out), sizeof(Args::residual_out)},
    {"norm_out", "void*", offsetof(Args, norm_out), sizeof(Args::norm_out)},
    {"q", "unsigned char*", offsetof(Args, q), sizeof(Args::q)},
    {"scales", "unsigned char*", offsetof(Args, scales), sizeof(Args::scales)},
    {"token_scales", "float*", offsetof(Args, token_scales), sizeof(Args::token_scales)},
    {"scale", "const float*", offsetof(Args, scale), sizeof(Args::scale)},
    {"scale_value", "float", offsetof(Args, scale_value), sizeof(Args::scale_value)},
    {"eps", "float", offsetof(Args, eps), sizeof(Args::eps)},
    {"rows", "long long", offsetof(Args, rows), sizeof(Args::rows)},
    {"cols", "long long", offsetof(Args, cols), sizeof(Args::cols)},
    {"rank", "int", offsetof(Args, rank), sizeof(Args::rank)},
    {"multiprocessors", "int", offsetof(Args, multiprocessors), sizeof(Args::multiprocessors)},
    {"peer0", "void*", peer_offset(0), sizeof(void*)},
    {"peer1", "void*", peer_offset(1), sizeof(void*)},
    {"peer2", "void*", peer_offset(2), sizeof(void*)},
    {"peer3", "void*", peer_offset(3), sizeof(void*)},
    {"peer4", "void*", peer_offset(4), sizeof(void*)},
    {"peer5", "void*", peer_offset(5), sizeof(void*)},
    {"peer6", "void*", peer_offset(6), sizeof(void*)},
    {"peer7", "void*", peer_offset(7), sizeof(void*)},
    {"control", "void*", offsetof(Args, control), sizeof(Args::control)},
    {"report", "void*", offsetof(Args, report), sizeof(Args::report)},
    {"slot_bytes", "long long", offsetof(Args, slot_bytes), sizeof(Args::slot_bytes)},
    {"input_offset", "long long", offsetof(Args, input_offset), sizeof(Args::input_offset)},
    {"input_slot_bytes", "long long", offsetof(Args, input_slot_bytes),
     sizeof(Args::input_slot_bytes)},
    {"result_offset", "long long", offsetof(Args, result_offset), sizeof(Args::result_offset)},
    {"workspace_bytes", "long long", offsetof(Args, workspace_bytes),
     sizeof(Args::workspace_bytes)},
    {"deadline_ns", "long long", offsetof(Args, deadline_ns), sizeof(Args::deadline_ns)}};

int ranks_of(const KernelSpec& spec) { return spec.get("ranks").front() - '0'; }
bool per_token(const KernelSpec& spec) { return spec.get("scale") == "token"; }
bool two_shot(const KernelSpec& spec) { return spec.get("algorithm") == "two_shot"; }
bool quantizes(std::string_view out) { return out != "sum" && out != "norm"; }
bool has_block_scales(std::string_view out) { return out == "nvfp4" || out == "mxfp8"; }

std::string refusal(const KernelSpec& spec) {
  const auto out = spec.get("out");
  if (!has_block_scales(out) && spec.get("layout") != "linear") {
    return fmt::format("out={} has no block scales: layout must be linear", out);
  }
  if ((out == "mxfp8" || !quantizes(out)) && per_token(spec)) {
    return fmt::format("out={} has no scale above block scales: scale must be tensor", out);
  }
  if (spec.get("4over6") != "off" && out != "nvfp4") {
    return "4over6 is for out=nvfp4";
  }
  if (spec.get("4over6") != "off" && spec.get("order") == "unrounded") {
    return "4over6 needs values of 16 bits: order must be rounded";
  }
  if (out == "sum" && (spec.get("order") != "rounded" || spec.get("weight") != "plain")) {
    return "out=sum has no norm: order must be rounded and weight plain";
  }
  return {};
}

int block_threads(const KernelSpec& spec) {
  const bool large = spec.get("order") == "unrounded" || spec.get("4over6") != "off";
  return large ? kAllreduceThreadsLarge : kAllreduceThreads;
}

// Says that no more need fit: the compiler would rather spill than leave room for one only.
int min_ctas(const KernelSpec&) { return 1; }

[[noreturn]] void refuse(const KernelSpec& spec, const std::string& what) {
  throw Error(ErrorKind::invalid_argument, spec.text() + ": " + what);
}

void check_scale(const KernelSpec& spec, const Args& args) {
  const auto out = spec.get("out");
  if (out == "nvfp4" && per_token(spec)) {
    jit::check_inverse_scale(spec, "scale_value", args.scale_value, "1 / (448 * 6)");
  } else if ((out == "nvfp4" || out == "fp8") && !per_token(spec)) {
    if (args.scale != nullptr) {
      jit::check_pointer(spec, "scale", args.scale, alignof(float));
    } else if (out == "fp8") {
      jit::check_inverse_scale(spec, "scale_value", args.scale_value, "amax / 448");
    } else {
      jit::check_encode_scale(spec, "scale_value", args.scale_value);
    }
  }
}

// What the group gave.
void check_group(const KernelSpec& spec, const Args& args) {
  const int ranks = ranks_of(spec);
  if (args.rank < 0 || args.rank >= ranks) {
    refuse(spec, fmt::format("rank is {}; of {} ranks it is 0 to {}", args.rank, ranks, ranks - 1));
  }
  if (args.multiprocessors < 1) {
    refuse(spec, fmt::format("multiprocessors is {}; it must be positive", args.multiprocessors));
  }
  if (args.deadline_ns <= 0) {
    refuse(spec, fmt::format("deadline_ns is {}; it must be positive", args.deadline_ns));
  }
  for (int r = 0; r < ranks; ++r) {
    if (args.peers[r] == nullptr || reinterpret_cast<std::uintptr_t>(args.peers[r]) % 128 != 0) {
      jit::refuse_pointer(spec, fmt::format("peers[{}]", r), args.peers[r], 128);
    }
  }
  jit::check_pointer(spec, "control", args.control, 128);
  jit::check_pointer(spec, "report", args.report, 64);
  const auto flags = std::int64_t{comm::kMostCtas} * comm::kFlagLineBytes;
  const std::int64_t slots = comm::kGenerations * ranks;
  if (args.slot_bytes % 128 != 0 || args.input_slot_bytes % 128 != 0 || args.slot_bytes < 0 ||
      args.input_slot_bytes < 0 || !jit::fits(slots, args.slot_bytes, 1) ||
      args.input_offset != flags + slots * args.slot_bytes ||
      args.result_offset != args.input_offset + ranks * args.input_slot_bytes ||
      args.workspace_bytes < args.result_offset) {
    refuse(spec,
           fmt::format("slot_bytes {}, input_offset {}, input_slot_bytes {}, result_offset {} and "
                       "workspace_bytes {} are no WorkspaceLayout for {} ranks",
                       args.slot_bytes, args.input_offset, args.input_slot_bytes,
                       args.result_offset, args.workspace_bytes, ranks));
  }
}

// That the call fits into the workspace.
void check_room(const KernelSpec& spec, const Args& args) {
  const std::int64_t all = comm::one_shot_slot_bytes(args.rows, args.cols);
  const auto room = args.workspace_bytes - args.result_offset;
  const bool fits = two_shot(spec)
                        ? comm::two_shot_slot_bytes(ranks_of(spec), args.rows, args.cols) <=
                                  args.input_slot_bytes &&
                              all <= room
                        : all <= args.slot_bytes;
  if (!fits) {
    refuse(spec, fmt::format("{} rows of {} columns are {} bytes, more than the workspace takes "
                             "(one-shot {}, two-shot {}); make the group for more rows",
                             args.rows, args.cols, all, args.slot_bytes, room));
  }
}

void check_outputs(const KernelSpec& spec, const Args& args) {
  const auto out = spec.get("out");
  if (out == "sum") {
    jit::check_pointer(spec, "sum_out", args.sum_out, 16);
    return;
  }
  jit::check_pointer(spec, "residual", args.residual, 32);
  jit::check_pointer(spec, "weight", args.weight, 32);
  if (args.residual_out != nullptr) {
    jit::check_pointer(spec, "residual_out", args.residual_out, 16);
  }
  if (args.norm_out != nullptr || out == "norm") {
    jit::check_pointer(spec, "norm_out", args.norm_out, 16);
  }
  if (quantizes(out)) {
    jit::check_pointer(spec, "q", args.q, 16);
  }
  if (has_block_scales(out)) {
    jit::check_pointer(spec, "scales", args.scales, 16);
  }
  if (per_token(spec)) {
    jit::check_pointer(spec, "token_scales", args.token_scales, alignof(float));
  }
}

void check_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  jit::check_rows(spec, args.rows);
  jit::check_columns(spec, args.cols, spec.get("out") == "mxfp8" ? 32 : 16);
  jit::check_extent(spec, args.rows, args.cols);
  if (args.cols < kLeastColumns || args.cols > kMostColumns) {
    refuse(spec,
           fmt::format("cols is {}; it must be {} to {}", args.cols, kLeastColumns, kMostColumns));
  }
  if (spec.get("out") != "sum" && (!(args.eps >= 0x1p-126F) || std::isinf(args.eps))) {
    refuse(spec, fmt::format("eps is {}; it must be positive, finite and normal", args.eps));
  }
  check_scale(spec, args);
  check_group(spec, args);
  check_room(spec, args);
  if (args.rows == 0) {
    return;
  }
  jit::check_pointer(spec, "x", args.x, 32);
  check_outputs(spec, args);
}

LaunchShape launch_shape(const KernelSpec& spec, const void* pointer, const DeviceFacts&) {
  const auto& args = *static_cast<const Args*>(pointer);
  LaunchShape shape;
  if (args.rows == 0) {
    shape.empty = true;
    return shape;
  }
  const std::int64_t padded = jit::scale_extent(spec.get("layout"), args.rows, 4).rows;
  const AllreduceLaunch launch =
      allreduce_launch(args.rows, padded, args.cols, args.multiprocessors, block_threads(spec));
  shape.block[0] = launch.threads;
  shape.grid[0] = launch.ctas;
  shape.dynamic_shared_bytes = spec.get("out") == "sum" ? 0 : launch.shared_bytes;
  return shape;
}

constexpr std::string_view kPeerNames[] = {"peer0", "peer1", "peer2", "peer3",
                                           "peer4", "peer5", "peer6", "peer7"};

void add_group_regions(const KernelSpec& spec, const Args& args, std::vector<BufferRegion>& list) {
  const auto bytes = static_cast<std::size_t>(args.workspace_bytes);
  for (int r = 0; r < ranks_of(spec); ++r) {
    list.push_back(
        {kPeerNames[r], args.peers[r], bytes, r == args.rank ? Access::read_write : Access::write});
  }
  list.push_back({"control", args.control, comm::kControlBytes, Access::read_write});
  list.push_back({"report", args.report, comm::kReportBytes, Access::write});
}

std::vector<BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  const auto rows = static_cast<std::size_t>(args.rows);
  const auto cols = static_cast<std::size_t>(args.cols);
  const auto out = spec.get("out");
  std::vector<BufferRegion> list{{"x", args.x, rows * cols * 2, Access::read}};
  const auto add_written = [&list](std::string_view name, const void* at, std::size_t bytes) {
    if (at != nullptr) {
      list.push_back({name, at, bytes, Access::write});
    }
  };
  if (out == "sum") {
    add_written("sum_out", args.sum_out, rows * cols * 2);
  } else {
    list.push_back({"residual", args.residual, rows * cols * 2, Access::read});
    list.push_back({"weight", args.weight, cols * 2, Access::read});
    add_written("residual_out", args.residual_out, rows * cols * 2);
    add_written("norm_out", args.norm_out, rows * cols * 2);
  }
  if (quantizes(out)) {
    add_written("q", args.q, rows * cols / (out == "nvfp4" ? 2 : 1));
  }
  if (has_block_scales(out)) {
    add_written("scales", args.scales,
                rmsnorm_quantize_scale_bytes(out, spec.get("layout"), args.rows, args.cols));
  }
  if (per_token(spec)) {
    add_written("token_scales", args.token_scales, rows * sizeof(float));
  } else if (args.scale != nullptr && (out == "nvfp4" || out == "fp8")) {
    list.push_back({"scale", args.scale, sizeof(float), Access::read});
  }
  add_group_regions(spec, args, list);
  return list;
}

}  // namespace

const OpDefinition& allreduce_rmsnorm_quantize_op() {
  static constexpr OpDefinition kOp{
      .name = Args::kOp,
      .summary = "sum over GPUs, then residual, RMSNorm and quantization to NVFP4, MXFP8 or FP8",
      .axes = kAxes,
      .template_file = "allreduce_rmsnorm_quantize.cuh",
      .entry_function = "allreduce_rmsnorm_quantize_kernel",
      .params = kParams,
      .args_size = sizeof(Args),
      .block_threads = block_threads,
      .refusal = refusal,
      .check_args = check_args,
      .launch_shape = launch_shape,
      .regions = regions,
      .min_ctas = min_ctas};
  return kOp;
}

}  // namespace fourge
