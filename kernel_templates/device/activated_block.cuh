// A thread's 16 neighbouring columns of a row of activations, and their quantization. Lanes that are
// neighbours have neighbouring blocks, so what a warp loads or stores at once lies together.
#pragma once

#include "device/e4m3_words.cuh"
#include "device/gated_activation.cuh"
#include "device/unit_quantize.cuh"
#include "device/words_max.cuh"

namespace fourge_device {

// What an activation gives: packed if it is rounded to the 16-bit type, else as floats.
template <class Config, Rounding kRounding = Config::kRounding()>
struct ActivatedBlock;

template <class Config>
struct ActivatedBlock<Config, Rounding::rounded> {
  __device__ static constexpr ElementType kType() { return Config::kInput(); }
  Words8 words;

  // The i-th pair.
  FOURGE_INLINE void put(int i, float first, float second) {
    words.w[i] = pack_pair<kType()>(first, second);
  }
  // The last half becomes the first.
  FOURGE_INLINE void make_room() {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      words.w[k] = words.w[k + 4];
    }
  }
  // Each pair becomes the one before it, this one the last.
  FOURGE_INLINE void push(float first, float second) {
#pragma unroll
    for (int k = 0; k < 7; ++k) {
      words.w[k] = words.w[k + 1];
    }
    put(7, first, second);
  }
  // The largest magnitude, NaN skipped, as bits of a float.
  FOURGE_INLINE uint32 magnitude() const {
    const Words8 block[1] = {words};
    return float_bits(value_of_bits<kType()>(maximum_of<kType()>(block).bits));
  }
  FOURGE_INLINE void scaled_e4m3(float o, uint32 (&codes)[4]) const {
    constexpr bool kMx = Config::kFormat() == QuantizedFormat::mxfp8;
    encode_e4m3x16<Config, kMx ? E4m3Nan::largest : E4m3Nan::nan>(words, o, codes);
  }
};

template <class Config>
struct ActivatedBlock<Config, Rounding::unrounded> {
  float values[16];

  FOURGE_INLINE void put(int i, float first, float second) {
    values[2 * i] = first;
    values[2 * i + 1] = second;
  }
  FOURGE_INLINE void make_room() {
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      values[k] = values[k + 8];
    }
  }
  FOURGE_INLINE void push(float first, float second) {
#pragma unroll
    for (int k = 0; k < 14; ++k) {
      values[k] = values[k + 2];
    }
    put(7, first, second);
  }
  FOURGE_INLINE uint32 magnitude() const {
    float largest = 0.0f;
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      largest = max_num(largest, absolute(values[i]));
    }
    return float_bits(largest);
  }
  FOURGE_INLINE void scaled_e4m3(float o, uint32 (&codes)[4]) const {
    constexpr bool kMx = Config::kFormat() == QuantizedFormat::mxfp8;
    const auto scaled = [o](float value) {
      const float y = mul_rn(value, o);
      return kMx ? min_num(y, 448.0f) : y;  // in MXFP8 a NaN becomes the largest number
    };
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float* const v = values + 4 * i;
      codes[i] = encode_e4m3_pair<Config>(scaled(v[0]), scaled(v[1])) |
                 (encode_e4m3_pair<Config>(scaled(v[2]), scaled(v[3])) << 16);
    }
  }
};

enum class GateOrder { linear_first, gate_first };

// Where a block's inputs are: in a row, and in its bias. The second half of a row is `blocks` behind the
// first.
struct ActivationSource {
  const char* row;
  const char* bias;  // null without
  uint32 block;
  uint32 blocks;

  template <class Config>
  FOURGE_INLINE uint64 gate() const {
    constexpr bool kFirst =
        !kIsGated<Config::kActivation()> || Config::kOrder() == GateOrder::gate_first;
    return static_cast<uint64>(block) * 32 + (kFirst ? 0 : static_cast<uint64>(blocks) * 32);
  }
  template <class Config>
  FOURGE_INLINE uint64 linear() const {
    constexpr bool kFirst = Config::kOrder() == GateOrder::linear_first;
    return static_cast<uint64>(block) * 32 + (kFirst ? 0 : static_cast<uint64>(blocks) * 32);
  }
};

// One pair after another, loaded for it: with a bias, and of any values (not kBounded). Little code, since
// it is not what most calls need. Returns whether the bounded form was good for all.
template <class Config, bool kBounded>
FOURGE_INLINE bool activate_pairs(const ActivationSource& from, const ActivationFactors& factors,
                                  ActivatedBlock<Config>& block) {
  constexpr ActivationKind kKind = Config::kActivation();
  using P = Packed16<Config::kInput()>;
  const auto word = [](const char* p) { return load(reinterpret_cast<const uint32*>(p)); };
  float largest = 0.0f;  // NaN if there is one
#pragma unroll 1
  for (uint32 i = 0; i < 32; i += 4) {
    const uint64 gate_at = from.gate<Config>() + i;
    const uint64 linear_at = from.linear<Config>() + i;
    const uint32 g = word(from.row + gate_at);
    const uint32 l = kIsGated<kKind> ? word(from.row + linear_at) : 0u;
    float gate[2] = {P::low(g), P::high(g)};
    float linear[2] = {P::low(l), P::high(l)};
    if (from.bias != nullptr) {
      const uint32 b = word(from.bias + gate_at);
      gate[0] = add_rn(gate[0], P::low(b));
      gate[1] = add_rn(gate[1], P::high(b));
      const uint32 c = kIsGated<kKind> ? word(from.bias + linear_at) : 0u;
      linear[0] = add_rn(linear[0], P::low(c));
      linear[1] = add_rn(linear[1], P::high(c));
    }
    largest = max_nan(largest, max_nan(absolute(gate[0]), absolute(gate[1])));
    block.push(activate<kKind, kBounded>(gate[0], linear[0], factors),
               activate<kKind, kBounded>(gate[1], linear[1], factors));
  }
  return !kBounded || is_bounded<kKind>(largest, factors);
}

// How many halves of a block are computed at once. Two of the long error function need more registers than
// there are.
template <ActivationKind kKind>
constexpr int kActivationHalves =
    kKind == ActivationKind::geglu || kKind == ActivationKind::gelu ? 1 : 2;

// The same of 16 columns without a bias, of which these are the words.
template <class Config>
FOURGE_INLINE bool activate_words(Words8 g, Words8 l, const ActivationFactors& factors,
                                  ActivatedBlock<Config>& block) {
  constexpr ActivationKind kKind = Config::kActivation();
  constexpr bool kBounded = kHasBoundedForm<kKind>;
  using P = Packed16<Config::kInput()>;
  bool bounded = true;
  if constexpr (kBounded) {
    bounded = is_bounded<kKind>(
        value_of_packed_nan<Config::kInput()>(block_max_packed<Config::kInput()>(g.w)), factors);
  }
  // What takes the place of a half that is done is the next one.
#pragma unroll(kActivationHalves <kKind>)
  for (int half = 0; half < 2; ++half) {
    block.make_room();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      block.put(4 + i, activate<kKind, kBounded>(P::low(g.w[i]), P::low(l.w[i]), factors),
                activate<kKind, kBounded>(P::high(g.w[i]), P::high(l.w[i]), factors));
      g.w[i] = g.w[i + 4];
      l.w[i] = l.w[i + 4];
    }
  }
  return bounded;
}

// Gates outside the range of the bounded forms are rare: then all is done once more.
template <class Config>
FOURGE_INLINE void activate_block(const ActivationSource& from, const ActivationFactors& factors,
                                  ActivatedBlock<Config>& block) {
  constexpr ActivationKind kKind = Config::kActivation();
  constexpr bool kBounded = kHasBoundedForm<kKind>;
  bool bounded = true;
  if (from.bias == nullptr) {
    const Words8 g = load_words8<Config::kLoad256()>(from.row + from.gate<Config>());
    Words8 l = {};
    if constexpr (kIsGated<kKind>) {
      l = load_words8<Config::kLoad256()>(from.row + from.linear<Config>());
    }
    bounded = activate_words<Config>(g, l, factors, block);
  } else {
    bounded = activate_pairs<Config, kBounded>(from, factors, block);
  }
  if (kBounded && unlikely(!bounded)) {
    activate_pairs<Config, false>(from, factors, block);
  }
}

// Stores the codes of a block at q if it is inside the row; returns its scale. MXFP8: all lanes of the warp
// call, and two neighbours share a scale.
template <class Config>
FOURGE_INLINE uint32 quantize_activated(const ActivatedBlock<Config>& block, uint8* q, bool inside,
                                        const UnitFactors<Config>& factors) {
  if constexpr (Config::kFormat() == QuantizedFormat::none) {
    if (inside) {
      store_words(q, block.words.w);
    }
    return 0;
  } else if constexpr (Config::kFormat() == QuantizedFormat::nvfp4) {
    const auto put = [&](int, const Nvfp4Block& result) {
      if (inside) {
        store(reinterpret_cast<uint64*>(q),
              result.codes[0] | (static_cast<uint64>(result.codes[1]) << 32));
      }
      return result.scale;
    };
    if constexpr (Config::kRounding() == Rounding::unrounded) {
      return put(0, quantize_nvfp4_floats<Config>(block.values, factors.nvfp4));
    } else if constexpr (Config::kFourOverSix() == FourOverSix::off) {
      Words8 words[1] = {block.words};
      return quantize_nvfp4_blocks<Config>(
          words, [&](int) { return factors.nvfp4; }, put);
    } else {
      return put(0, quantize_nvfp4_block<Config>(block.words, factors.nvfp4));
    }
  } else {
    uint32 scale = 0;
    float o = factors.fp8;
    if constexpr (Config::kFormat() == QuantizedFormat::mxfp8) {
      const uint32 own = block.magnitude();
      const float amax = float_from_bits(max_u32(own, __shfl_xor_sync(0xFFFFFFFFu, own, 1)));
      scale = encode_ue8m0_up<Config>(mul_rn(amax, 0.0022321429569274187f));  // RN(1/448)
      o = scale == 0 ? 0.0f : ue8m0_reciprocal(scale);
    }
    uint32 codes[4];
    block.scaled_e4m3(o, codes);
    if (inside) {
      store_words(q, codes);
    }
    return scale;
  }
}

}  // namespace fourge_device
