// The sum of an array over the GPUs of a host, then residual, RMSNorm and quantization, in one kernel on
// each of them. Every rank of a group makes the same calls in the same order, each with its own x; all get
// the same bits. fourge::comm::Group (<fourge/comm.hpp>) sets up what ranks share and makes these calls;
// this is what it calls.
//
//   x             [rows, cols] bf16 or f16, row-major and dense, 32-byte aligned: this rank's part
//   sum_out       with out=sum: [rows, cols] of x's type, 16-byte aligned; otherwise not looked at
//   residual, weight, q, scales, token_scales, norm_out, scale, scale_value, eps
//                 as in <fourge/rmsnorm_quantize.hpp> with residual=add, of the operation that out names;
//                 not looked at with out=sum. With out=norm, norm_out is needed and q, scales,
//                 token_scales, scale and scale_value are not looked at
//   residual_out  as there, but may be null
//   rows, cols    rows >= 0; cols from 1024 to 16384, a multiple of 16 (MXFP8: 32). The same on all ranks
//   rank          of this device, 0 to ranks - 1
//   peers         the workspaces of all ranks, as this device sees them; [rank] is its own. Those from
//                 `ranks` on are not looked at
//   control, report  this rank's (<fourge/comm_layout.hpp>)
//   slot_bytes, input_offset, input_slot_bytes, result_offset, workspace_bytes
//                 of the group's WorkspaceLayout (bytes)
//   multiprocessors  the fewest that a device of the group has, at least 1, or less: comm::launch_bound(). The
//                 launch follows from it and from the shape, and must be the same on all ranks
//   deadline_ns   positive: how long one wait may last, by the device's clock
//
// The sum, where a -0.0 of x counts as +0.0, ftz(a + b) is a binary32 addition with subnormals flushed
// and round() rounds to x's type (NaN: 0x7FFF):
//   accumulate=f32   round(ftz(... ftz(ftz(+0.0 + x_0) + x_1) ...)), in the order of ranks
//   accumulate=type  the same, with round() after every addition
// The sum stands for x in what follows, which is rmsnorm_quantize with residual=add, bit for bit; so the
// whole equals an all-reduce and that operation, called one after the other. Both algorithms give the same
// bits.
//
// algorithm=one_shot: every rank sends its rows to all others, and each adds up all. Needs
//   one_shot_slot_bytes(rows, cols) <= slot_bytes.
// algorithm=two_shot: every rank adds up a part of each row's columns and sends the sums. Needs
//   two_shot_slot_bytes(ranks, rows, cols) <= input_slot_bytes and rows * cols * 2 bytes of result area. With
//   rows * cols * 2 <= min(slot_bytes, comm::kMostSentinelBytes) ranks wait for the data itself, as one_shot
//   does; else at barriers.
// Calls of both may follow each other in any order.
//
// Rules:
//  - Calls of a rank on one control must follow one another: one stream, or ordered by events. A graph with
//    such calls may be replayed. Programmatic dependent launch is allowed.
//  - All CTAs of a launch must run at the same time, which they do on a device with as many multiprocessors
//    as were given unless another kernel keeps some for ever. So two groups' calls must not overlap on one
//    device, and ranks of one group may share a device only within comm::launch_bound().
//  - A wait for another rank that lasts longer than deadline_ns (for sums that it makes: and
//    comm::kSecondHandGraceNs) writes the report and lets this kernel run to its end without waiting; later ones on
//    this control do nothing. Outputs from the call in the report on are then undefined, those before are
//    right: a rank that gave up sends nothing that another could take for a sum. The group is to be taken
//    down; other ranks find out in the same way.
//  - Calls are asynchronous on the caller's stream. Outputs must not overlap inputs or each other.
// Streams, threads and errors: <fourge/kernel.hpp>. Arithmetic: docs/numerics.md.
#pragma once

#include <fourge/comm_layout.hpp>
#include <fourge/export.hpp>
#include <fourge/op_definition.hpp>

#include <cstdint>
#include <string_view>

namespace fourge {

struct AllreduceRmsnormQuantizeArgs {
  static constexpr std::string_view kOp = "allreduce_rmsnorm_quantize";

  const void* x = nullptr;
  const void* residual = nullptr;
  const void* weight = nullptr;
  void* sum_out = nullptr;
  void* residual_out = nullptr;
  void* norm_out = nullptr;
  std::uint8_t* q = nullptr;
  std::uint8_t* scales = nullptr;
  float* token_scales = nullptr;
  const float* scale = nullptr;
  float scale_value = 1.0F;
  float eps = 1e-6F;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  std::int32_t rank = 0;
  std::int32_t multiprocessors = 1;
  void* peers[comm::kMostRanks] = {};
  void* control = nullptr;
  void* report = nullptr;
  std::int64_t slot_bytes = 0;
  std::int64_t input_offset = 0;
  std::int64_t input_slot_bytes = 0;
  std::int64_t result_offset = 0;
  std::int64_t workspace_bytes = 0;
  std::int64_t deadline_ns = 30'000'000'000;
};

// The launch of a call: a pure function of the shape and of what the group has in common. padded_rows:
// rows with those that the scales' layout adds.
struct AllreduceLaunch {
  std::uint32_t threads;  // of a CTA
  std::uint32_t ctas;     // CTA c takes rows c, c + ctas, ..., or a part of one
  std::uint32_t shared_bytes;
};
// most_threads: what a CTA is compiled for, kAllreduceThreads, or kAllreduceThreadsLarge with order=unrounded
// or 4over6. So many threads are always at work at once on a multiprocessor.
inline constexpr int kAllreduceThreads = 512;
inline constexpr int kAllreduceThreadsLarge = 384;  // which needs more registers
// No launch has more CTAs than this for each of the multiprocessors given.
inline constexpr int kAllreduceMostCtas = 4;
FOURGE_API AllreduceLaunch allreduce_launch(std::int64_t rows, std::int64_t padded_rows,
                                            std::int64_t cols, int multiprocessors,
                                            int most_threads = kAllreduceThreads);

FOURGE_API const OpDefinition& allreduce_rmsnorm_quantize_op();

}  // namespace fourge
