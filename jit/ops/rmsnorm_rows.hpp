// Where rmsnorm_quantize has a row until its sum is known: the values of axis row, and what each of them is for.
#pragma once

#include <fourge/kernel_spec.hpp>
#include <fourge/op_definition.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fourge::jit::rmsnorm {

inline constexpr std::int64_t kBlock = 16;
inline constexpr std::int64_t kMostLanes = 512;

enum class Holding {
  shared,     // in shared memory, where threads copy them; of any length
  copied,     // the copy engine does (cp.async.bulk), one for a CTA
  one_block,  // in registers, a block a thread
  exact,      // in registers, as long as the threads have blocks
  several     // the same, and a CTA takes several, the next one copied as above
};

// For how many CTAs a multiprocessor shares out registers is found by compiling: the fewest that spill nothing.
struct RowShape {
  std::string_view text;
  Holding holding;
  std::int64_t threads;  // at most, or just so many
  std::int64_t blocks;   // a thread, in registers
  int min_ctas;

  constexpr std::int64_t cols() const { return kBlock * threads * blocks; }
};
inline constexpr RowShape kRowShapes[] = {{"shared", Holding::shared, kMostLanes, 0, 2},
                                          {"copied", Holding::copied, kMostLanes, 0, 2},
                                          {"registers1", Holding::one_block, kMostLanes, 1, 2},
                                          {"64x4", Holding::exact, 64, 4, 10},
                                          {"64x5", Holding::exact, 64, 5, 8},
                                          {"64x7", Holding::exact, 64, 7, 8},
                                          {"64x8", Holding::exact, 64, 8, 8},
                                          {"256x1", Holding::exact, 256, 1, 6},
                                          {"320x1", Holding::exact, 320, 1, 4},
                                          {"448x1", Holding::exact, 448, 1, 3},
                                          {"512x1", Holding::exact, 512, 1, 3},
                                          {"128x2", Holding::several, 128, 2, 7},
                                          {"160x2", Holding::several, 160, 2, 5},
                                          {"224x2", Holding::several, 224, 2, 4},
                                          {"256x2", Holding::several, 256, 2, 3}};

inline constexpr AxisValue kRowValues[] = {
    {"shared", "fourge_device::RowShape{}", "any number of columns; a row lies in shared memory"},
    {"copied", "fourge_device::RowShape{0, 0, true}",
     "at most 32768 columns; a CTA has a row copied to shared memory; sm_90 and later"},
    {"registers1", "fourge_device::RowShape{0, 1}",
     "at most 8192 columns; a thread holds a block, for few rows"},
    {"64x4", "fourge_device::RowShape{64, 4}", "4096 columns; 64 threads hold 4 blocks each"},
    {"64x5", "fourge_device::RowShape{64, 5}", "5120 columns; 64 threads hold 5 blocks each"},
    {"64x7", "fourge_device::RowShape{64, 7}", "7168 columns; 64 threads hold 7 blocks each"},
    {"64x8", "fourge_device::RowShape{64, 8}", "8192 columns; 64 threads hold 8 blocks each"},
    {"256x1", "fourge_device::RowShape{256, 1}", "4096 columns; 256 threads hold a block each"},
    {"320x1", "fourge_device::RowShape{320, 1}", "5120 columns; 320 threads hold a block each"},
    {"448x1", "fourge_device::RowShape{448, 1}", "7168 columns; 448 threads hold a block each"},
    {"512x1", "fourge_device::RowShape{512, 1}", "8192 columns; 512 threads hold a block each"},
    {"128x2", "fourge_device::RowShape{128, 2, true}",
     "4096 columns; 128 threads hold 2 blocks each, while the next row is copied; sm_90 and later"},
    {"160x2", "fourge_device::RowShape{160, 2, true}",
     "5120 columns; 160 threads hold 2 blocks each, while the next row is copied; sm_90 and later"},
    {"224x2", "fourge_device::RowShape{224, 2, true}",
     "7168 columns; 224 threads hold 2 blocks each, while the next row is copied; sm_90 and later"},
    {"256x2", "fourge_device::RowShape{256, 2, true}",
     "8192 columns; 256 threads hold 2 blocks each, while the next row is copied; sm_90 and "
     "later"}};

inline constexpr std::size_t kRow = 8;  // of the axes

inline bool adds(const KernelSpec& spec) { return spec.get("residual") == "add"; }
inline bool per_token(const KernelSpec& spec) { return spec.get("scale") == "token"; }

inline bool is_plain_nvfp4(const KernelSpec& spec) {
  return spec.get("out") == "nvfp4" && !per_token(spec) && spec.get("4over6") == "off" &&
         spec.get("order") == "rounded" && !adds(spec);
}

inline const RowShape& row_shape(const KernelSpec& spec) { return kRowShapes[spec.index(kRow)]; }
inline Holding holding(const KernelSpec& spec) { return row_shape(spec).holding; }
// Of one length only.
inline bool is_exact(const KernelSpec& spec) {
  return holding(spec) == Holding::exact || holding(spec) == Holding::several;
}
inline bool is_copied(const KernelSpec& spec) {
  return holding(spec) == Holding::copied || holding(spec) == Holding::several;
}

// Of a CTA.
std::int64_t most_threads(const KernelSpec& spec);
// 0: any number, or those of the threads' blocks only.
std::int64_t most_columns(const KernelSpec& spec);

}  // namespace fourge::jit::rmsnorm
