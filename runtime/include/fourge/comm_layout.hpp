// The memory that the ranks of a group share for allreduce_rmsnorm_quantize, as pure functions. No
// memory is touched here, and any thread may call them; <fourge/allreduce_rmsnorm_quantize.hpp> has the rules.
//
// A rank has
//   a workspace   device memory, mapped by all ranks of the group, aligned to 128 bytes:
//                   barrier flags  kMostCtas lines of 128 bytes, one for each CTA; in it a uint64 for
//                                  each rank, which that rank writes
//                   one-shot area  kGenerations of `ranks` slots. One-shot: one for each rank's rows.
//                                  Two-shot without barriers: for what each rank has of the columns that
//                                  this rank adds up, and this rank's own for the sums
//                   input area     `ranks` slots: what each rank has of the columns that this rank adds up
//                   result area    sums of all rows
//   a control     kControlBytes of device memory of its own, aligned to 128 bytes, seen by no other rank
//   a report      kReportBytes of host memory mapped by its device, aligned to 64 bytes
#pragma once

#include <fourge/export.hpp>

#include <cstddef>
#include <cstdint>

namespace fourge::comm {

inline constexpr int kMostRanks = 8;
inline constexpr int kMostCtas = 1024;  // of a launch
inline constexpr int kGenerations = 3;
inline constexpr std::int64_t kFlagLineBytes = 128;
// Two elements of -0.0: what no word of a rank's data is.
inline constexpr std::uint32_t kSentinelWord = 0x80008000U;
// A two-shot call of at most so many bytes of x goes without barriers, if they are no more than slot_bytes and
// there are two ranks or more.
inline constexpr std::int64_t kMostSentinelBytes = std::int64_t{8} << 20;
// Who waits for another rank's sums waits longer than the deadline by this: what those wait for is to be reported
// first.
inline constexpr std::int64_t kSecondHandGraceNs = 100'000'000;
inline constexpr std::size_t kControlBytes = 256;
inline constexpr std::size_t kReportBytes = 64;

// What a group is made for. All of its ranks have the same.
struct WorkspaceShape {
  int ranks = 1;
  std::int64_t max_rows = 0;       // of a two-shot call
  std::int64_t one_shot_rows = 0;  // of a one-shot call, and of a two-shot call without barriers
  std::int64_t max_cols = 0;       // a multiple of 16
};

// Byte offsets in a workspace; all multiples of 128.
struct WorkspaceLayout {
  std::int64_t one_shot_offset = 0;  // flags lie at 0
  std::int64_t slot_bytes =
      0;  // of the one-shot area: slot r of generation g is slot g * ranks + r
  std::int64_t input_offset = 0;      // this much of the beginning is filled at creation: see below
  std::int64_t input_slot_bytes = 0;  // slot r is rank r's
  std::int64_t result_offset = 0;
  std::int64_t bytes = 0;
};

// Throws Error(invalid_argument): ranks not 1 to 8, rows negative, max_cols not a positive multiple of 16,
// or an area of more than 2^47 bytes.
//
// Before the first call a workspace holds zeros from 0 to one_shot_offset and kSentinelWord, repeated, from
// there to input_offset; the rest is never read before it is written. Control and report hold zeros. All
// of that must be complete on all ranks before any of them makes a call.
FOURGE_API WorkspaceLayout workspace_layout(const WorkspaceShape& shape);

// Bytes of the slots that a call needs; it fits if they are not more than the layout has. two_shot, whether it
// has barriers or not, also needs rows * cols * 2 bytes from result_offset to bytes.
FOURGE_API std::int64_t one_shot_slot_bytes(std::int64_t rows, std::int64_t cols);
FOURGE_API std::int64_t two_shot_slot_bytes(int ranks, std::int64_t rows, std::int64_t cols);

// The device's own records; all zero at creation. For diagnosis: nothing need read it.
struct Control {
  std::uint32_t generation;  // of the one-shot area, for the next call that uses it
  // Not 0: in the launch after gave_up - 1 others (modulo 2^31) a wait lasted too long. Later ones do nothing.
  std::uint32_t gave_up;
  std::uint64_t calls;  // launches so far, but such
  // By the last call that used slots: of those of other ranks, and of this rank's own.
  std::uint64_t used_bytes;
  std::uint64_t result_bytes;
  std::uint64_t unused[12];
  std::uint32_t arrived;  // CTAs of the present launch that have read the above
  std::uint32_t padding[31];
};
static_assert(sizeof(Control) == kControlBytes);

enum class WaitKind : std::uint32_t {
  none = 0,
  one_shot_data = 1,   // a rank's rows
  input_barrier = 2,   // two-shot, with a barrier or without: what a rank sends to be added
  result_barrier = 3,  // two-shot, with a barrier or without: a rank's sums
};

inline constexpr std::uint32_t kReportMagic = 0x466F7267U;

// Written once, by the first wait of a rank that lasts longer than deadline_ns (for sums: and the grace); magic is written last,
// when the rest can be read.
struct Report {
  std::uint32_t magic;  // 0 until then
  std::uint32_t rank;   // that was waited for
  WaitKind kind;
  std::uint32_t cta;
  std::uint64_t call;       // launches of this rank before this one
  std::uint64_t waited_ns;  // by the device's clock
  std::uint64_t unused[4];
};
static_assert(sizeof(Report) == kReportBytes);

}  // namespace fourge::comm
