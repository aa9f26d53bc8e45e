// NVFP4 quantization a second time, for comparison on the device: written from docs/numerics.md alone,
// with true divisions, sums in order and ladders of comparisons, and with nothing of kernel_templates/.
// Exact mode, one scale for the tensor, linear block scales. A thread makes a block.
//
// NVRTC compiles it (slow_kernels.cpp) with subnormals flushed. On the host the includer defines
// SLOW_FUNCTION and the arithmetic below in namespace slow, flushing too.
#pragma once

#ifdef __CUDACC_RTC__
#define SLOW_FUNCTION __device__ inline
namespace slow {
SLOW_FUNCTION float mul(float a, float b) { return __fmul_rn(a, b); }
SLOW_FUNCTION float add(float a, float b) { return __fadd_rn(a, b); }
SLOW_FUNCTION float sub(float a, float b) { return __fsub_rn(a, b); }
SLOW_FUNCTION float div(float a, float b) { return __fdiv_rn(a, b); }
SLOW_FUNCTION float from_bits(unsigned bits) { return __uint_as_float(bits); }
SLOW_FUNCTION unsigned to_bits(float value) { return __float_as_uint(value); }
}  // namespace slow
#endif

namespace slow {

enum Mode { kStandard = 0, kMae = 1, kMse = 2 };
enum Type { kBf16 = 0, kF16 = 1 };

SLOW_FUNCTION bool is_nan(float value) { return (to_bits(value) & 0x7FFFFFFFU) > 0x7F800000U; }
SLOW_FUNCTION bool is_negative(float value) { return (to_bits(value) >> 31) != 0; }
SLOW_FUNCTION float magnitude(float value) { return from_bits(to_bits(value) & 0x7FFFFFFFU); }
// Subnormals count as zero.
SLOW_FUNCTION bool is_zero(float value) { return (to_bits(value) & 0x7F800000U) == 0; }

// Exact.
SLOW_FUNCTION float decode_element(unsigned bits, int type) {
  if (type == kBf16) {
    return from_bits(bits << 16);
  }
  const unsigned exponent = (bits >> 10) & 31U;
  const unsigned mantissa = bits & 1023U;
  const unsigned sign = (bits & 0x8000U) << 16;
  if (exponent == 31U) {
    return from_bits(sign | 0x7F800000U | (mantissa << 13));
  }
  if (exponent == 0U) {
    const float tiny = static_cast<float>(mantissa) * 5.9604644775390625e-8f;  // 2^-24
    return from_bits(sign | to_bits(tiny));
  }
  return from_bits(sign | ((exponent + 112U) << 23) | (mantissa << 13));
}

SLOW_FUNCTION float decode_scale(unsigned code) {
  if (code == 127U) {
    return from_bits(0x7FC00000U);
  }
  const unsigned exponent = code >> 3;
  float value = static_cast<float>(exponent == 0U ? code : 8U + (code & 7U));
  for (unsigned i = exponent == 0U ? 1U : exponent; i < 10U; ++i) {
    value = mul(value, 0.5f);
  }
  for (unsigned i = 10U; i < exponent; ++i) {
    value = mul(value, 2.0f);
  }
  return value;
}

// E4M3 of a value that is not negative: up one step as long as the value lies beyond the middle of
// it, or in the middle when the step leads to an even code.
SLOW_FUNCTION unsigned encode_scale(float value) {
  if (is_nan(value)) {
    return 127U;
  }
  unsigned code = 0;
  while (code < 126U) {
    const float middle = mul(add(decode_scale(code), decode_scale(code + 1U)), 0.5f);
    const bool even_above = (code & 1U) != 0;
    if (!(value > middle || (value == middle && even_above))) {
      break;
    }
    ++code;
  }
  return code;
}

SLOW_FUNCTION unsigned encode_element(float value) {
  if (is_nan(value)) {
    return 7U;
  }
  const float size = magnitude(value);
  unsigned code = 0;
  if (size > 5.0f) {
    code = 7U;
  } else if (size >= 3.5f) {
    code = 6U;
  } else if (size > 2.5f) {
    code = 5U;
  } else if (size >= 1.75f) {
    code = 4U;
  } else if (size > 1.25f) {
    code = 3U;
  } else if (size >= 0.75f) {
    code = 2U;
  } else if (size > 0.25f) {
    code = 1U;
  }
  return code | (is_negative(value) ? 8U : 0U);
}

SLOW_FUNCTION float decode_code(unsigned code) {
  float size = 0.0f;
  switch (code & 7U) {
    case 1U:
      size = 0.5f;
      break;
    case 2U:
      size = 1.0f;
      break;
    case 3U:
      size = 1.5f;
      break;
    case 4U:
      size = 2.0f;
      break;
    case 5U:
      size = 3.0f;
      break;
    case 6U:
      size = 4.0f;
      break;
    case 7U:
      size = 6.0f;
      break;
    default:
      break;
  }
  return from_bits(to_bits(size) | ((code & 8U) << 28));
}

struct Encoding {
  unsigned scale;
  unsigned codes[16];
};

// 1 / value, at most the largest float; that also for NaN.
SLOW_FUNCTION float limited_reciprocal(float value) {
  const float largest = from_bits(0x7F7FFFFFU);
  const float reciprocal = div(1.0f, value);
  return reciprocal < largest ? reciprocal : largest;
}

SLOW_FUNCTION void encode_with(const float* x, float scale, float inverse, Encoding& result) {
  result.scale = encode_scale(scale);
  const float multiplier = limited_reciprocal(mul(decode_scale(result.scale), inverse));
  for (int i = 0; i < 16; ++i) {
    result.codes[i] = encode_element(mul(x[i], multiplier));
  }
}

SLOW_FUNCTION float error_of(const float* x, const Encoding& made, float inverse, int mode) {
  const float scale = decode_scale(made.scale);
  float sum = 0.0f;
  for (int i = 0; i < 16; ++i) {
    const float value = mul(mul(decode_code(made.codes[i]), scale), inverse);
    const float difference = sub(value, x[i]);
    sum = add(sum, mode == kMse ? mul(difference, difference) : magnitude(difference));
  }
  return sum;
}

SLOW_FUNCTION void quantize_block(const unsigned short* bits, int type, int mode,
                                  float global_scale, Encoding& result) {
  float x[16];
  float maximum = 0.0f;
  for (int i = 0; i < 16; ++i) {
    x[i] = decode_element(bits[i], type);
    // As integers, so that no subnormal is lost before it is looked at.
    const unsigned size = to_bits(magnitude(x[i]));
    if (!is_nan(x[i]) && size > to_bits(maximum)) {
      maximum = from_bits(size);
    }
  }
  const float inverse = div(1.0f, global_scale);
  if (is_zero(maximum)) {
    result.scale = 0;
    for (int i = 0; i < 16; ++i) {
      result.codes[i] = mode == kStandard ? encode_element(mul(x[i], 0.0f)) : 0U;
    }
    return;
  }
  if (mode == kStandard) {
    const float sixth = div(1.0f, 6.0f);
    encode_with(x, mul(maximum, mul(global_scale, sixth)), inverse, result);
    return;
  }
  const float scale_6 = mul(div(maximum, 6.0f), global_scale);
  Encoding other;
  encode_with(x, mul(scale_6, 1.5f), inverse, other);
  encode_with(x, scale_6, inverse, result);
  if (error_of(x, other, inverse, mode) < error_of(x, result, inverse, mode)) {
    result = other;
  }
}

// The blocks with a number below `blocks`, which begin at element 16 * block.
SLOW_FUNCTION void quantize(const unsigned short* x, unsigned char* codes, unsigned char* scales,
                            long long block, int type, int mode, float global_scale) {
  Encoding made;
  quantize_block(x + block * 16, type, mode, global_scale, made);
  scales[block] = static_cast<unsigned char>(made.scale);
  for (int i = 0; i < 8; ++i) {
    codes[block * 8 + i] =
        static_cast<unsigned char>(made.codes[2 * i] | (made.codes[2 * i + 1] << 4));
  }
}

}  // namespace slow
