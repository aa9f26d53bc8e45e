#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/moe_permute.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/moe_axes.hpp"
#include "jit/ops/row_launch.hpp"

#include <fmt/format.h>
#include <algorithm>

namespace fourge {
namespace {

using Args = MoePermuteArgs;

constexpr std::int64_t kBlock = 128;
constexpr std::int64_t kUnitBytes = 16;
constexpr std::int64_t kThreads = 256;
constexpr std::int64_t kMostGridX = 2147483647;
constexpr std::int64_t kMostGridY = 65535;
constexpr std::int64_t kManyCtas = 16384;
// A slab of 64 threads is 1024 bytes wide; that of this many tokens is 8 MiB, which an L2 keeps while all
// their copies are written.
constexpr std::int64_t kTokensOfWideSlabs = 8192;

enum AxisIndex : std::size_t { kBits, kScales, kIndex, kTokensPerCta };

constexpr AxisValue kBitsValues[] = {{"16", "2", "bf16 or f16"}, {"8", "1", "E4M3 or bytes"}};
constexpr AxisValue kScalesValues[] = {
    {"none", "fourge_device::RowScales::none", "no scales"},
    {"block128", "fourge_device::RowScales::block128", "a float for 128 columns"}};

constexpr Axis kAxes[] = {{"bits", "kBytes", "size of an element", kBitsValues},
                          {"scales", "kScales", "what goes along with a row", kScalesValues},
                          jit::kMoeIndexAxis,
                          jit::kTokensPerCtaAxis};

constexpr Param kParams[] = {
    {"x", "const void*", offsetof(Args, x), sizeof(Args::x)},
    {"x_scales", "const float*", offsetof(Args, x_scales), sizeof(Args::x_scales)},
    {"y", "void*", offsetof(Args, y), sizeof(Args::y)},
    {"y_scales", "float*", offsetof(Args, y_scales), sizeof(Args::y_scales)},
    {"row_entries", "const int*", offsetof(Args, row_entries), sizeof(Args::row_entries)},
    {"padded_rows", "const int*", offsetof(Args, padded_rows), sizeof(Args::padded_rows)},
    {"tokens", "long long", offsetof(Args, tokens), sizeof(Args::tokens)},
    {"top_k", "long long", offsetof(Args, top_k), sizeof(Args::top_k)},
    {"cols", "long long", offsetof(Args, cols), sizeof(Args::cols)},
    {"capacity", "long long", offsetof(Args, capacity), sizeof(Args::capacity)}};

std::int64_t element_bytes(const KernelSpec& spec) { return spec.index(kBits) == 0 ? 2 : 1; }
bool has_scales(const KernelSpec& spec) { return spec.index(kScales) == 1; }

std::string refusal(const KernelSpec&) { return {}; }

void check_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  jit::check_expanded_tokens(spec, args.tokens, args.top_k);
  jit::check_count(spec, "capacity", args.capacity);
  if (has_scales(spec)) {
    jit::check_columns(spec, args.cols, kBlock);
  } else if (args.cols <= 0 || args.cols * element_bytes(spec) % kUnitBytes != 0) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: cols is {}; it must be positive, and a row a multiple of {} bytes",
                            spec.text(), args.cols, kUnitBytes));
  }
  jit::check_extent(spec, args.capacity, args.cols);
  jit::check_extent(spec, args.tokens, args.cols);
  if (args.capacity == 0) {
    return;
  }
  if (args.tokens > 0) {
    jit::check_pointer(spec, "x", args.x, kUnitBytes);
    if (has_scales(spec)) {
      jit::check_pointer(spec, "x_scales", args.x_scales, alignof(float));
    }
  }
  jit::check_pointer(spec, "y", args.y, kUnitBytes);
  if (has_scales(spec)) {
    jit::check_pointer(spec, "y_scales", args.y_scales, alignof(float));
  }
  jit::check_pointer(spec, "row_entries", args.row_entries, alignof(std::int32_t));
  jit::check_pointer(spec, "padded_rows", args.padded_rows, alignof(std::int32_t));
}

// Room for 48 registers: left alone, the compiler stops at 32 on some targets and spills.
int min_ctas(const KernelSpec& spec) { return has_scales(spec) ? 5 : 0; }

LaunchShape launch_shape(const KernelSpec& spec, const void* pointer, const DeviceFacts&) {
  const auto& args = *static_cast<const Args*>(pointer);
  if (args.capacity == 0) {
    LaunchShape shape;
    shape.empty = true;
    return shape;
  }
  const std::int64_t units = args.cols * element_bytes(spec) / kUnitBytes;
  const std::int64_t lanes = units > 32 && args.tokens <= kTokensOfWideSlabs ? 64 : 32;
  const std::int64_t groups = kThreads / lanes;
  const std::int64_t rows = groups << spec.index(kTokensPerCta);
  const std::int64_t slabs = std::min<std::int64_t>(kMostGridY, (units + lanes - 1) / lanes);
  std::int64_t ctas = (args.capacity + rows - 1) / rows;
  if (ctas * slabs >= kManyCtas) {  // four rows a thread, whatever the axis says
    ctas = (ctas << spec.index(kTokensPerCta)) / 4 + 1;
  }
  LaunchShape shape;
  shape.block[0] = static_cast<std::uint32_t>(lanes);
  shape.block[1] = static_cast<std::uint32_t>(groups);
  shape.grid[0] = static_cast<std::uint32_t>(std::min<std::int64_t>(kMostGridX, ctas));
  shape.grid[1] = static_cast<std::uint32_t>(slabs);
  return shape;
}

std::vector<BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  const auto row_bytes = static_cast<std::size_t>(args.cols * element_bytes(spec));
  const auto tokens = static_cast<std::size_t>(args.tokens);
  const auto capacity = static_cast<std::size_t>(args.capacity);
  std::vector<BufferRegion> list{
      {"x", args.x, tokens * row_bytes, Access::read},
      {"y", args.y, capacity * row_bytes, Access::write},
      {"row_entries", args.row_entries, capacity * sizeof(std::int32_t), Access::read},
      {"padded_rows", args.padded_rows, sizeof(std::int32_t), Access::read}};
  if (has_scales(spec)) {
    const std::size_t row_scales = static_cast<std::size_t>(args.cols / kBlock) * sizeof(float);
    list.push_back({"x_scales", args.x_scales, tokens * row_scales, Access::read});
    list.push_back({"y_scales", args.y_scales, capacity * row_scales, Access::write});
  }
  return list;
}

}  // namespace

const OpDefinition& moe_permute_op() {
  static constexpr OpDefinition kOp{
      .name = Args::kOp,
      .summary = "rows of tokens copied to the rows of their experts, with 1x128 scales",
      .axes = kAxes,
      .template_file = "moe_permute.cuh",
      .entry_function = "moe_permute_kernel",
      .params = kParams,
      .args_size = sizeof(Args),
      .block_threads = [](const KernelSpec&) { return static_cast<int>(kThreads); },
      .refusal = refusal,
      .check_args = check_args,
      .launch_shape = launch_shape,
      .regions = regions,
      .min_ctas = min_ctas};
  return kOp;
}

}  // namespace fourge
