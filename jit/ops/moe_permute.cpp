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
constexpr std::int64_t kWarp = 32;
constexpr std::int64_t kMostGridX = 2147483647;
constexpr std::int64_t kMostGridY = 65535;
constexpr std::int64_t kManyCtas = 16384;
// A slab of 64 threads is 1024 bytes wide; that of this many tokens is 8 MiB, which an L2 keeps while all
// their copies are written.
constexpr std::int64_t kTokensOfWideSlabs = 8192;

// By token: pieces of a row that a CTA of one warp takes, so many a multiprocessor if there are few tokens; and items of
// scales.
constexpr std::int64_t kMostPieceBytes = 16384;
constexpr std::int64_t kFewestPieceBytes = 1024;
constexpr std::int64_t kPiecesEach = 4;
constexpr std::int64_t kItemRows = 128;
constexpr std::int64_t kItemBlocks = 4;
constexpr std::int64_t kItemsEach = 8;  // a multiprocessor, if there are few tokens
constexpr std::int64_t kMostRowBytes = std::int64_t{1} << 29;

enum AxisIndex : std::size_t { kBits, kScales, kIndex, kBy, kTokensPerCta };

constexpr AxisValue kBitsValues[] = {{"16", "2", "bf16 or f16"}, {"8", "1", "E4M3 or bytes"}};
constexpr AxisValue kScalesValues[] = {
    {"none", "fourge_device::RowScales::none", "no scales"},
    {"block128", "fourge_device::RowScales::block128", "a float for 128 columns"}};

constexpr AxisValue kByValues[] = {
    {"row", "fourge_device::PermuteBy::row", "a row of y is read from its token's"},
    {"token", "fourge_device::PermuteBy::token",
     "a token's row is read once and written to all of its rows; takes the argument rows; sm_90 "
     "and "
     "later"}};

constexpr Axis kAxes[] = {{"bits", "kBytes", "size of an element", kBitsValues},
                          {"scales", "kScales", "what goes along with a row", kScalesValues},
                          jit::kMoeIndexAxis,
                          {"by", "kBy", "what is gone through", kByValues},
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
    {"capacity", "long long", offsetof(Args, capacity), sizeof(Args::capacity)},
    {"rows", "const int*", offsetof(Args, rows), sizeof(Args::rows)}};

std::int64_t element_bytes(const KernelSpec& spec) { return spec.index(kBits) == 0 ? 2 : 1; }
bool has_scales(const KernelSpec& spec) { return spec.index(kScales) == 1; }
bool by_token(const KernelSpec& spec) { return spec.index(kBy) == 1; }
// By token they say only where scales go.
bool reads_row_entries(const KernelSpec& spec) { return !by_token(spec) || has_scales(spec); }

std::string refusal(const KernelSpec& spec) {
  if (!by_token(spec)) {
    return {};
  }
  if (!spec.target().features().bulk_copy) {
    return fmt::format(
        "by=token needs bulk copies, which {} has not (sm_90 and later have); take by=row",
        spec.target().text());
  }
  if (spec.get("tpc") != "1") {
    return "tpc is for by=row; with by=token it must be 1";
  }
  return {};
}

void check_token_rows(const KernelSpec& spec, const Args& args) {
  if (args.cols * element_bytes(spec) > kMostRowBytes) {
    throw Error(
        ErrorKind::invalid_argument,
        fmt::format("{}: a row of {} columns has more than 2^29 bytes; take by=row, which has no "
                    "such limit",
                    spec.text(), args.cols));
  }
  if (args.tokens > 0) {
    jit::check_pointer(spec, "rows", args.rows, alignof(std::int32_t));
  }
}

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
  if (reads_row_entries(spec)) {
    jit::check_pointer(spec, "row_entries", args.row_entries, alignof(std::int32_t));
  }
  jit::check_pointer(spec, "padded_rows", args.padded_rows, alignof(std::int32_t));
  if (by_token(spec)) {
    check_token_rows(spec, args);
  }
}

// Room for 48 registers: left alone, the compiler stops at 32 on some targets and spills.
int min_ctas(const KernelSpec& spec) { return has_scales(spec) && !by_token(spec) ? 5 : 0; }

int block_threads(const KernelSpec& spec) {
  return static_cast<int>(by_token(spec) ? kWarp : kThreads);
}

LaunchShape launch_by_token(const KernelSpec& spec, const Args& args, const DeviceFacts& device) {
  const auto divided_up = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  const std::int64_t row_bytes = args.cols * element_bytes(spec);
  // Few tokens have more pieces, so that all multiprocessors have some.
  const std::int64_t wanted =
      divided_up(kPiecesEach * device.multiprocessors, std::max<std::int64_t>(args.tokens, 1));
  const std::int64_t pieces = std::max(divided_up(row_bytes, kMostPieceBytes),
                                       std::min(wanted, divided_up(row_bytes, kFewestPieceBytes)));
  // CTAs for scales: as many as for tokens, or more where there are few tokens and much padding.
  const std::int64_t items = has_scales(spec) ? divided_up(args.capacity, kItemRows) *
                                                    divided_up(args.cols / kBlock, kItemBlocks)
                                              : 0;
  const std::int64_t item_ctas = std::min(
      items, std::max(args.tokens * pieces, kItemsEach * std::int64_t{device.multiprocessors}));
  const std::int64_t ctas = std::min(kMostGridX, args.tokens + divided_up(item_ctas, pieces));
  LaunchShape shape;
  shape.empty = ctas == 0;
  shape.block[0] = kWarp;
  shape.grid[0] = static_cast<std::uint32_t>(ctas);
  shape.grid[1] = static_cast<std::uint32_t>(pieces);
  const std::int64_t units = divided_up(row_bytes / kUnitBytes, pieces);
  shape.dynamic_shared_bytes = static_cast<std::uint32_t>(units * kUnitBytes);
  return shape;
}

LaunchShape launch_shape(const KernelSpec& spec, const void* pointer, const DeviceFacts& device) {
  const auto& args = *static_cast<const Args*>(pointer);
  if (args.capacity == 0) {
    LaunchShape shape;
    shape.empty = true;
    return shape;
  }
  if (by_token(spec)) {
    return launch_by_token(spec, args, device);
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
      {"padded_rows", args.padded_rows, sizeof(std::int32_t), Access::read}};
  if (reads_row_entries(spec)) {
    list.push_back(
        {"row_entries", args.row_entries, capacity * sizeof(std::int32_t), Access::read});
  }
  if (by_token(spec)) {
    list.push_back({"rows", args.rows,
                    tokens * static_cast<std::size_t>(args.top_k) * sizeof(std::int32_t),
                    Access::read});
  }
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
      .block_threads = block_threads,
      .refusal = refusal,
      .check_args = check_args,
      .launch_shape = launch_shape,
      .regions = regions,
      .min_ctas = min_ctas};
  return kOp;
}

}  // namespace fourge
