// The formats of moe_expand_quantize: what a lane does with 16 columns of a token.
#pragma once

#include "device/e4m3_words.cuh"
#include "device/magnitude.cuh"
#include "device/nvfp4_block.cuh"
#include "device/store_words.cuh"
#include "device/token_scale.cuh"
#include "device/ue8m0.cuh"

namespace fourge_device {

enum class ExpandFormat { nvfp4, mxfp8, fp8 };
enum class ExpandScale { tensor, expert, token, none };

template <class Config>
struct ExpandConfig : Config {
  __device__ static constexpr MathMode kMath() { return MathMode::exact; }
};

// A format: what a lane does with its 16 columns. kLanes neighbours share a block scale; all lanes of a warp
// quantize together.
template <class Config, ExpandFormat kFormat = Config::kFormat()>
struct ExpandBlock;

template <class Config>
struct ExpandBlock<Config, ExpandFormat::nvfp4> {
  using Factors = Nvfp4Factors<ExpandConfig<Config>, Config::kScale() == ExpandScale::token>;
  enum : bool { kBlockScales = true };
  enum : int { kLanes = 1 };
  enum : int { kCodeBytes = 8 };
  __device__ static constexpr float kInverse() {
    return uses_256(Config::kFourOverSix()) ? 6.5104168606922030e-04f : 3.7202381645329297e-04f;
  }

  Words8 x;
  Nvfp4Block result;

  static FOURGE_INLINE Factors of_tensor(float scale) { return Factors(scale); }
  static FOURGE_INLINE Factors of_token(float maximum, float& decode) {
    const TokenScale scale = token_scale<ExpandConfig<Config>>(maximum, kInverse());
    decode = scale.decode;
    return Factors(scale.encode, maximum);
  }
  FOURGE_INLINE void read(const void* p) { x = load_words8<Config::kLoad256()>(p); }
  FOURGE_INLINE uint32 quantize(const Factors& factors) {
    result = quantize_nvfp4_block<ExpandConfig<Config>>(x, factors);
    return result.scale;
  }
  FOURGE_INLINE void write(uint8* to) const {
    store(reinterpret_cast<uint64*>(to),
          result.codes[0] | (static_cast<uint64>(result.codes[1]) << 32));
  }
};

struct NoFactors {};

template <class Config>
struct ExpandBlock<Config, ExpandFormat::mxfp8> {
  using Factors = NoFactors;
  enum : bool { kBlockScales = true };
  enum : int { kLanes = 2 };
  enum : int { kCodeBytes = 16 };

  Words8 x[1];
  uint32 result[4];

  static FOURGE_INLINE Factors of_tensor(float) { return {}; }
  FOURGE_INLINE void read(const void* p) { x[0] = load_words8<Config::kLoad256()>(p); }
  // Two neighbouring lanes share a scale.
  FOURGE_INLINE uint32 quantize(const Factors&) {
    const uint32 own = maximum_of<Config::kInput()>(x).bits;
    const uint32 bits = max_u32(own, __shfl_xor_sync(0xFFFFFFFFu, own, 1));
    const float amax = value_of_bits<Config::kInput()>(bits);
    const uint32 byte = encode_ue8m0_up<Config>(mul_rn(amax, 0.0022321429569274187f));  // RN(1/448)
    encode_e4m3x16<Config, E4m3Nan::largest>(x[0], byte == 0 ? 0.0f : ue8m0_reciprocal(byte),
                                             result);
    return byte;
  }
  FOURGE_INLINE void write(uint8* to) const { store_words(to, result); }
};

template <class Config>
struct ExpandBlock<Config, ExpandFormat::fp8> {
  using Factors = float;  // the encode scale
  enum : bool { kBlockScales = false };
  enum : int { kLanes = 1 };
  enum : int { kCodeBytes = 16 };

  Words8 x;
  uint32 result[4];

  static FOURGE_INLINE Factors of_tensor(float scale) { return scale; }
  static FOURGE_INLINE Factors of_token(float maximum, float& decode) {
    float encode = min_num(div_rn(448.0f, maximum), kFloatMax());
    encode = is_zero(maximum) || is_zero(encode) ? 1.0f : encode;
    decode = rcp_rn(encode);
    return encode;
  }
  FOURGE_INLINE void read(const void* p) { x = load_words8<Config::kLoad256()>(p); }
  FOURGE_INLINE uint32 quantize(const Factors& encode) {
    encode_e4m3x16<Config, E4m3Nan::nan>(x, encode, result);
    return 0;
  }
  FOURGE_INLINE void write(uint8* to) const { store_words(to, result); }
};

}  // namespace fourge_device
