#include "jit/ops/rmsnorm_rows.hpp"

#include <fourge/error.hpp>
#include <fourge/rmsnorm_quantize.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/row_launch.hpp"

#include <fmt/format.h>
#include <algorithm>

namespace fourge {
namespace jit::rmsnorm {

// With 4over6 64 registers, as many as 1024 threads have, suffice on sm_90 only; of 896 threads each has 72.
std::int64_t most_threads(const KernelSpec& spec) {
  constexpr std::int64_t kThreadsOf72 = 448;
  const bool short_of_registers =
      spec.get("4over6") != "off" && spec.target().major() != 9 &&
      (holding(spec) == Holding::copied || holding(spec) == Holding::one_block);
  return short_of_registers ? kThreadsOf72 : row_shape(spec).threads;
}

std::int64_t most_columns(const KernelSpec& spec) {
  constexpr std::int64_t kMostCopiedColumns = 32768;
  return holding(spec) == Holding::copied      ? kMostCopiedColumns
         : holding(spec) == Holding::one_block ? kBlock * most_threads(spec)
                                               : 0;
}

}  // namespace jit::rmsnorm

using namespace jit::rmsnorm;

namespace {

void check_op(const KernelSpec& spec) {
  if (spec.op().name != RmsnormQuantizeArgs::kOp) {
    throw Error(ErrorKind::invalid_spec, fmt::format("{} does not name a variant of {}",
                                                     spec.text(), RmsnormQuantizeArgs::kOp));
  }
}

}  // namespace

std::int64_t rmsnorm_quantize_columns(const KernelSpec& spec) {
  check_op(spec);
  return is_exact(spec) ? row_shape(spec).cols() : 0;
}

std::int64_t rmsnorm_quantize_most_columns(const KernelSpec& spec) {
  check_op(spec);
  return is_exact(spec) ? row_shape(spec).cols() : most_columns(spec);
}

namespace {

constexpr std::int64_t kFewRows = 2;  // a multiprocessor, between the kinds of rows in registers

// From so many rows a multiprocessor on they are taken the quickest by the fewest threads each.
std::int64_t many_rows(const KernelSpec& spec, std::int64_t cols) {
  if (cols == 4096) {
    return 250;  // not seen up to 124
  }
  return spec.get("layout") == "linear" ? 62 : spec.get("layout") == "8x4" ? 74 : 92;
}

// Rows of any length. Held in registers they are done soonest while all of them are there at once, or, with a
// residual, which is much of what there is to read then, some times as many.
std::string_view row_of_any_length(const KernelSpec& spec, std::int64_t rows, std::int64_t cols,
                                   std::int64_t multiprocessors) {
  constexpr std::int64_t kThreadsAtOnce = 1024;  // of a multiprocessor
  constexpr std::int64_t kWideRow = 6144;
  const auto legal = [&](std::string_view text) {
    KernelSpec chosen = spec;
    chosen.set("row", text);
    const std::int64_t most = most_columns(chosen);
    return chosen.op().refusal(chosen).empty() && (most == 0 || cols <= most);
  };
  const bool plain_residual =
      adds(spec) && spec.get("out") == "nvfp4" && !per_token(spec) && spec.get("4over6") == "off";
  const std::int64_t times = !adds(spec) ? 1 : !plain_residual ? 4 : cols <= kWideRow ? 16 : 2;
  const std::int64_t threads = jit::round_up((cols + kBlock - 1) / kBlock, 32);
  if (legal("registers1") && rows * threads <= times * kThreadsAtOnce * multiprocessors) {
    return "registers1";
  }
  // Where threads copy the row themselves they do more while it is on its way.
  const std::int64_t per_multiprocessor = rows / multiprocessors;
  const bool shared = (plain_residual && per_multiprocessor >= 1 && per_multiprocessor < 8) ||
                      (spec.get("out") == "fp8" && per_token(spec) && per_multiprocessor >= 24);
  return !shared && legal("copied") ? "copied" : "shared";
}

}  // namespace

// Measured on an H200. So few rows are done soonest with a block a thread, many with the fewest threads, and between
// them where loads and work overlap from the first row on.
std::string_view rmsnorm_quantize_row(const KernelSpec& spec, std::int64_t rows, std::int64_t cols,
                                      const DeviceFacts& device) {
  const std::int64_t multiprocessors = std::max(device.multiprocessors, 1);
  const std::int64_t per_multiprocessor = rows / multiprocessors;
  const auto exact = [&](Holding holding, bool few) {
    for (const RowShape& shape : kRowShapes) {
      KernelSpec chosen = spec;
      if (shape.holding == holding && shape.cols() == cols && (shape.blocks == 1) == few &&
          chosen.op().refusal(chosen.set("row", shape.text)).empty()) {
        return shape.text;
      }
    }
    return std::string_view();
  };
  const bool few = per_multiprocessor < kFewRows;
  std::string_view row;
  if (!few && per_multiprocessor < many_rows(spec, cols)) {
    row = exact(Holding::several, false);
  }
  if (row.empty()) {
    row = exact(Holding::exact, few);
  }
  return row.empty() ? row_of_any_length(spec, rows, cols, multiprocessors) : row;
}

}  // namespace fourge
