// Single-precision operations with one rounding each, subnormals flushed on input and output, never
// contracted. NVRTC gets -ftz=true -fmad=false, under which the intrinsics below mean exactly that.
#pragma once

#include "device/types.cuh"

namespace fourge_device {

#if defined(FOURGE_HOST_EXECUTION)

FOURGE_INLINE float mul_rn(float a, float b) { return fourge_host::mul_rn(a, b); }
FOURGE_INLINE float add_rn(float a, float b) { return fourge_host::add_rn(a, b); }
FOURGE_INLINE float sub_rn(float a, float b) { return fourge_host::sub_rn(a, b); }
FOURGE_INLINE float fma_rn(float a, float b, float c) { return fourge_host::fma_rn(a, b, c); }
FOURGE_INLINE float rcp_rn(float a) { return fourge_host::rcp_rn(a); }
FOURGE_INLINE float rcp_approx(float a) { return fourge_host::rcp_approx(a); }
FOURGE_INLINE float rcp_rn_normal(float a) { return fourge_host::rcp_rn(a); }
FOURGE_INLINE float div_rn(float a, float b) { return fourge_host::div_rn(a, b); }
FOURGE_INLINE float min_num(float a, float b) { return fourge_host::min(a, b); }
FOURGE_INLINE float max_num(float a, float b) { return fourge_host::max(a, b); }
FOURGE_INLINE float mul_sat(float a, float b) { return fourge_host::saturate(mul_rn(a, b)); }
FOURGE_INLINE float fma_sat(float a, float b, float c) {
  return fourge_host::saturate(fma_rn(a, b, c));
}
FOURGE_INLINE uint32 float_bits(float a) { return fourge_host::float_as_uint(a); }
FOURGE_INLINE float float_from_bits(uint32 a) { return fourge_host::uint_as_float(a); }
FOURGE_INLINE float half_to_float(uint16 a) { return fourge_host::half_to_float(a); }
FOURGE_INLINE bool is_zero(float a) { return fourge_host::flush(a) == 0.0f; }
FOURGE_INLINE float absolute(float a) { return float_from_bits(float_bits(a) & 0x7FFFFFFFu); }
FOURGE_INLINE float max_nan(float a, float b) { return a != a || a > b ? a : b; }

#else

FOURGE_INLINE float mul_rn(float a, float b) { return __fmul_rn(a, b); }
FOURGE_INLINE float add_rn(float a, float b) { return __fadd_rn(a, b); }
FOURGE_INLINE float sub_rn(float a, float b) { return __fsub_rn(a, b); }
FOURGE_INLINE float fma_rn(float a, float b, float c) { return __fmaf_rn(a, b, c); }
FOURGE_INLINE float rcp_rn(float a) { return __frcp_rn(a); }
FOURGE_INLINE float rcp_approx(float a) {
  float r;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(a));
  return r;
}
// rcp_rn for 2^-125 < |a| < 2^125, and for 0 (an infinity or NaN): no test, no slow path.
FOURGE_INLINE float rcp_rn_normal(float a) {
  const float r = rcp_approx(a);
  return __fmaf_rn(r, __fmaf_rn(-a, r, 1.0f), r);
}
FOURGE_INLINE float div_rn(float a, float b) { return __fdiv_rn(a, b); }
FOURGE_INLINE float min_num(float a, float b) { return fminf(a, b); }
FOURGE_INLINE float max_num(float a, float b) { return fmaxf(a, b); }
// Clamped to [0, 1], NaN to 0. The modifier is free, where __saturatef costs an instruction.
FOURGE_INLINE float mul_sat(float a, float b) {
  float r;
  asm("mul.rn.ftz.sat.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
}
FOURGE_INLINE float fma_sat(float a, float b, float c) {
  float r;
  asm("fma.rn.ftz.sat.f32 %0, %1, %2, %3;" : "=f"(r) : "f"(a), "f"(b), "f"(c));
  return r;
}
FOURGE_INLINE uint32 float_bits(float a) { return __float_as_uint(a); }
FOURGE_INLINE float float_from_bits(uint32 a) { return __uint_as_float(a); }
FOURGE_INLINE float half_to_float(uint16 a) {
  float r;
  asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(a));
  return r;
}
// A subnormal compares equal to zero.
FOURGE_INLINE bool is_zero(float a) { return a == 0.0f; }
// A modifier of the operation that takes it.
FOURGE_INLINE float absolute(float a) { return fabsf(a); }
// The larger; a NaN wins.
FOURGE_INLINE float max_nan(float a, float b) {
  float r;
  asm("max.NaN.ftz.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
}

#endif

// The mode's reciprocal: correctly rounded, or the approximate instruction.
template <class Config>
FOURGE_INLINE float reciprocal(float a) {
  return Config::kMath() == MathMode::exact ? rcp_rn(a) : rcp_approx(a);
}

// RN(a / n) for n = 6, 448, 1536 or 2688 and inverse = RN(1 / n), as long as nothing is subnormal: the
// remainder, which is exact, corrects the first quotient.
FOURGE_INLINE float divide_by_constant(float a, float n, float inverse) {
  const float quotient = mul_rn(a, inverse);
  return fma_rn(fma_rn(quotient, -n, a), inverse, quotient);
}

FOURGE_INLINE bool is_nan(float a) { return (float_bits(a) & 0x7FFFFFFFu) > 0x7F800000u; }

}  // namespace fourge_device
