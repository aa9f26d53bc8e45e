// Single-precision arithmetic as the kernels' instructions do it: subnormal operands read as signed
// zeros, one rounding to nearest even, a subnormal result becomes a signed zero, a NaN result is
// 0x7FFFFFFF. The flushing is explicit, so the CPU's own mode does not matter. Compile with
// -ffp-contract=off. No standard header: this is pasted before generated sources.
#pragma once

namespace fourge_host {

inline unsigned float_as_uint(float value) {
  unsigned bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float uint_as_float(unsigned bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

inline bool is_nan_bits(unsigned bits) { return (bits & 0x7FFFFFFFu) > 0x7F800000u; }

inline float canonical_nan() { return uint_as_float(0x7FFFFFFFu); }

// A subnormal becomes a zero of its sign.
inline float flush(float value) {
  const unsigned bits = float_as_uint(value);
  return (bits & 0x7F800000u) == 0 ? uint_as_float(bits & 0x80000000u) : value;
}

inline float finish(float result) {
  return is_nan_bits(float_as_uint(result)) ? canonical_nan() : flush(result);
}

inline float mul_rn(float a, float b) { return finish(flush(a) * flush(b)); }
inline float add_rn(float a, float b) { return finish(flush(a) + flush(b)); }
inline float sub_rn(float a, float b) { return finish(flush(a) - flush(b)); }
inline float fma_rn(float a, float b, float c) {
  return finish(__builtin_fmaf(flush(a), flush(b), flush(c)));
}

// Division by zero is defined here; the explicit case keeps sanitizers quiet.
inline float div_rn(float a, float b) {
  a = flush(a);
  b = flush(b);
  if (b == 0.0f) {
    const unsigned sign = (float_as_uint(a) ^ float_as_uint(b)) & 0x80000000u;
    return a == 0.0f || a != a ? canonical_nan() : uint_as_float(sign | 0x7F800000u);
  }
  return finish(a / b);
}

inline float rcp_rn(float a) { return div_rn(1.0f, a); }

// rcp.approx.ftz has the same special values (zero and subnormal to infinity, above 2^126 to zero)
// and is elsewhere within one unit in the last place of this.
inline float rcp_approx(float a) { return rcp_rn(a); }

inline float sqrt_rn(float a) {
  a = flush(a);
  return a < 0.0f ? canonical_nan() : finish(__builtin_sqrtf(a));
}

// The operand that is not a NaN; -0 is below +0.
inline float min(float a, float b) {
  a = flush(a);
  b = flush(b);
  if (a != a) {
    return b != b ? canonical_nan() : b;
  }
  if (b != b) {
    return a;
  }
  if (a == b) {
    return (float_as_uint(a) & 0x80000000u) != 0 ? a : b;
  }
  return a < b ? a : b;
}

inline float max(float a, float b) {
  a = flush(a);
  b = flush(b);
  if (a != a) {
    return b != b ? canonical_nan() : b;
  }
  if (b != b) {
    return a;
  }
  if (a == b) {
    return (float_as_uint(a) & 0x80000000u) != 0 ? b : a;
  }
  return a > b ? a : b;
}

// Clamped to [0, 1]; a NaN becomes +0.
inline float saturate(float a) {
  a = flush(a);
  return a > 0.0f ? (a < 1.0f ? a : 1.0f) : 0.0f;
}

// Exact, subnormals included: a format conversion does not flush.
inline float half_to_float(unsigned short half) {
  const unsigned sign = (half & 0x8000u) << 16;
  const unsigned exponent = (half >> 10) & 31u;
  const unsigned mantissa = half & 0x3FFu;
  if (exponent == 31u) {
    return mantissa != 0 ? canonical_nan() : uint_as_float(sign | 0x7F800000u);
  }
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * uint_as_float(0x33800000u);  // 2^-24
    return uint_as_float(sign | float_as_uint(magnitude));
  }
  return uint_as_float(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

// fma.rn.bf16x2 of one half: subnormals are neither read nor written as zeros.
inline unsigned round_to_bf16(double value) {
  unsigned long long bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  const unsigned sign = static_cast<unsigned>(bits >> 48) & 0x8000u;
  const double magnitude = __builtin_fabs(value);
  if (magnitude != magnitude) {
    return 0x7FFFu;
  }
  if (magnitude < 0x1p-126) {  // steps of 2^-133, which this leaves in the last bits
    const double steps = magnitude + 0x1p-81;
    __builtin_memcpy(&bits, &steps, sizeof(bits));
    return sign | (static_cast<unsigned>(bits) & 0xFFu);
  }
  if (magnitude >= 0x1p+128) {
    return sign | 0x7F80u;
  }
  __builtin_memcpy(&bits, &magnitude, sizeof(bits));
  bits += 0xFFFFFFFFFFFull + ((bits >> 45) & 1u);
  return sign | (static_cast<unsigned>(bits >> 45) - (896u << 7));
}
inline double double_of_bf16(unsigned bits) {
  return static_cast<double>(uint_as_float(bits << 16));
}
inline unsigned fma_bf16(unsigned a, unsigned b, unsigned c) {
  const double product = double_of_bf16(a) * double_of_bf16(b);  // exact
  const double addend = double_of_bf16(c);
  double sum = product + addend;
  // What the sum lacks (Knuth's two-sum) is put into its last bit, so that rounding once more is rounding once.
  const double part = sum - product;
  const double error = (product - (sum - part)) + (addend - part);
  unsigned long long bits;
  __builtin_memcpy(&bits, &sum, sizeof(bits));
  if (error == error && error != 0.0 && (bits & 1u) == 0) {
    bits += (error > 0.0) == (sum > 0.0) ? 1ull : ~0ull;
    __builtin_memcpy(&sum, &bits, sizeof(sum));
  }
  return round_to_bf16(sum);
}
inline unsigned fma_bf16_pair(unsigned a, unsigned b, unsigned c) {
  return fma_bf16(a & 0xFFFFu, b & 0xFFFFu, c & 0xFFFFu) |
         (fma_bf16(a >> 16, b >> 16, c >> 16) << 16);
}

}  // namespace fourge_host
