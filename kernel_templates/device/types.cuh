// Vocabulary of the device code. Every file below kernel_templates/ is plain CUDA C++; the
// generator pastes the files that a kernel needs, in include order, into one hermetic translation
// unit.
//
// FOURGE_HOST_EXECUTION is defined when the same text is compiled by a C++ compiler to run on the
// CPU; the names in namespace fourge_host then come from the emulation.
//
// Constants are enumerators or constexpr functions, those of function bodies and templates of variables apart: of a
// `static constexpr` member or a `constexpr` variable of a namespace NVRTC makes a variable of the module, used or not, and
// a module with variables takes several times as long to load.
#pragma once

#define FOURGE_INLINE __device__ __forceinline__

namespace fourge_device {

using uint8 = unsigned char;
using uint16 = unsigned short;
using uint32 = unsigned int;
using uint64 = unsigned long long;
using int64 = long long;

enum class ElementType { bf16, f16, e4m3, f32 };
enum class ScaleLayout { linear, tiled_128x4, tiled_8x4 };
enum class ScaleMode { tensor, row, tensor_inv, row_inv };
enum class MathMode { exact, fast };
// How a block chooses between its two encodings: by mean absolute or squared error, for global scales
// made for 448 or 256 as the largest block scale, in exact or in fast error arithmetic.
enum class FourOverSix {
  off,
  mae448,
  mse448,
  mae256,
  mse256,
  mae448fast,
  mse448fast,
  mae256fast,
  mse256fast
};

// What hardly ever happens: its code is kept out of the way of the rest.
FOURGE_INLINE bool unlikely(bool condition) { return __builtin_expect(condition, false); }

__device__ constexpr float kFloatMax() { return 3.4028234663852886e38f; }

}  // namespace fourge_device
