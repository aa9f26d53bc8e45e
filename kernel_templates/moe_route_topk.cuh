// moe_route_topk: see fourge/moe_route.hpp for the contract.
// A warp takes a token; lane i has experts i, i + 32, ... in registers.
#pragma once

#include "device/convert16.cuh"
#include "device/global_memory.cuh"
#include "device/packed16.cuh"
#include "device/reduce.cuh"
#include "device/row_sum.cuh"
#include "device/swish.cuh"

namespace fourge_device {

enum class RouteMethod { softmax, renormalize, sigmoid, sigmoid_renorm, llama4, deepseek, raw };

enum : int { kRouteSlots = 16 };  // experts of a lane

template <ElementType kType>
FOURGE_INLINE float load_logit(const void* logits, int64 i) {
  if constexpr (kType == ElementType::f32) {
    return load(static_cast<const float*>(logits) + i);
  } else {
    return Packed16<kType>::low(load(static_cast<const uint16*>(logits) + i));
  }
}

// Orders as the floats do; 0 is below all of them. -0 equals +0.
FOURGE_INLINE uint32 order_key(float v) {
  const uint32 bits = float_bits(add_rn(v, 0.0f));
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
}

FOURGE_INLINE float natural_exp(float x) {
  return exp2_polynomial(mul_rn(x, float_from_bits(0x3FB8AA3Bu)));
}

struct RouteChoice {
  uint32 key;
  int expert;
};

// The largest key of the warp, and the lowest expert that has it.
FOURGE_INLINE RouteChoice largest_expert(const uint32 (&keys)[kRouteSlots]) {
  const int lane = static_cast<int>(threadIdx.x & 31u);
  uint32 own = 0;
#pragma unroll
  for (int i = 0; i < kRouteSlots; ++i) {
    own = max_u32(own, keys[i]);
  }
  const uint32 largest = warp_max(own);
  uint32 reversed = 0;  // 512 - expert
#pragma unroll
  for (int i = kRouteSlots - 1; i >= 0; --i) {
    reversed = keys[i] == largest ? static_cast<uint32>(512 - 32 * i - lane) : reversed;
  }
  return {largest, 512 - static_cast<int>(warp_max(reversed))};
}

// Leaves only the experts of the best groups, by the sum of a group's two largest keys' values.
FOURGE_INLINE void keep_best_groups(uint32 (&keys)[kRouteSlots], int experts, int groups,
                                    int kept_groups) {
  const int lane = static_cast<int>(threadIdx.x & 31u);
  const int size = experts / groups;
  const auto value = [](uint32 key) {
    return float_from_bits((key >> 31) != 0 ? key ^ 0x80000000u : ~key);
  };
  int group_of[kRouteSlots];
#pragma unroll
  for (int i = 0; i < kRouteSlots; ++i) {
    group_of[i] = (32 * i + lane) / size;
  }
  uint32 score = 0;
#pragma unroll 1
  for (int group = 0; group < groups; ++group) {
    uint32 members[kRouteSlots];
#pragma unroll
    for (int i = 0; i < kRouteSlots; ++i) {
      members[i] = group_of[i] == group ? keys[i] : 0u;
    }
    const RouteChoice first = largest_expert(members);
#pragma unroll
    for (int i = 0; i < kRouteSlots; ++i) {
      members[i] = 32 * i + lane == first.expert ? 0u : members[i];
    }
    const RouteChoice second = largest_expert(members);
    const uint32 sum = order_key(add_rn(value(first.key), value(second.key)));
    score = lane == group ? sum : score;
  }
  uint32 chosen = 0;
#pragma unroll 1
  for (int i = 0; i < kept_groups; ++i) {
    const uint32 largest = warp_max(score);
    const uint32 reversed = warp_max(score == largest ? static_cast<uint32>(32 - lane) : 0u);
    const int group = 32 - static_cast<int>(reversed);
    chosen |= 1u << group;
    score = lane == group ? 0u : score;
  }
#pragma unroll
  for (int i = 0; i < kRouteSlots; ++i) {
    const bool in_range = group_of[i] < groups;
    keys[i] = in_range && ((chosen >> (group_of[i] & 31)) & 1u) != 0 ? keys[i] : 0u;
  }
}

template <class Config>
FOURGE_INLINE void moe_route_topk_kernel(const void* logits, const float* bias, int* ids,
                                         float* weights, float scale, int64 tokens, int64 experts,
                                         int64 top_k, int64 groups, int64 kept_groups) {
  constexpr RouteMethod kMethod = Config::kMethod();
  constexpr bool kSigmoid = kMethod == RouteMethod::sigmoid ||
                            kMethod == RouteMethod::sigmoid_renorm ||
                            kMethod == RouteMethod::deepseek;
  wait_for_predecessor<Config>();
  const int lane = static_cast<int>(threadIdx.x & 31u);
  const int count = static_cast<int>(experts);
#pragma unroll 1
  for (int64 token = static_cast<int64>(blockIdx.x) * blockDim.y + threadIdx.y; token < tokens;
       token += static_cast<int64>(gridDim.x) * blockDim.y) {
    float value[kRouteSlots];  // what weights are made of
    uint32 keys[kRouteSlots];  // what is compared
#pragma unroll
    for (int i = 0; i < kRouteSlots; ++i) {
      const int expert = 32 * i + lane;
      value[i] = 0.0f;
      keys[i] = 0;
      if (expert < count) {
        float v = load_logit<Config::kInput()>(logits, token * experts + expert);
        v = is_nan(v) ? float_from_bits(0xFF800000u) : v;
        value[i] = kSigmoid ? swish<MathMode::exact>(1.0f, v) : v;
        float compared = value[i];
        if (kMethod == RouteMethod::deepseek && bias != nullptr) {
          compared = add_rn(compared, load(bias + expert));
          compared = is_nan(compared) ? float_from_bits(0xFF800000u) : compared;
        }
        keys[i] = order_key(compared);
      }
    }
    if constexpr (kMethod == RouteMethod::deepseek) {
      keep_best_groups(keys, count, static_cast<int>(groups), static_cast<int>(kept_groups));
    }

    int id = 0;
    float weight = 0.0f;
    float largest = 0.0f;
    float all = 0.0f;
#pragma unroll 1
    for (int j = 0; j < static_cast<int>(top_k); ++j) {
      const int expert = largest_expert(keys).expert;
      float own = 0.0f;
#pragma unroll
      for (int i = 0; i < kRouteSlots; ++i) {
        const bool here = 32 * i + lane == expert;
        own = here ? value[i] : own;
        keys[i] = here ? 0u : keys[i];
      }
      const float chosen = __shfl_sync(0xFFFFFFFFu, own, expert & 31);
      largest = j == 0 ? chosen : largest;
      id = lane == j ? expert : id;
      weight = lane == j ? chosen : weight;
    }
    if constexpr (kMethod == RouteMethod::softmax) {
#pragma unroll
      for (int i = 0; i < kRouteSlots; ++i) {
        if (32 * i + lane < count) {
          all = add_rn(all, natural_exp(sub_rn(value[i], largest)));
        }
      }
      all = warp_sum(all);
    }
    if constexpr (kMethod == RouteMethod::softmax || kMethod == RouteMethod::renormalize) {
      weight = natural_exp(sub_rn(weight, largest));
    } else if constexpr (kMethod == RouteMethod::llama4) {
      weight = swish<MathMode::exact>(1.0f, weight);
    }
    if constexpr (kMethod == RouteMethod::renormalize || kMethod == RouteMethod::sigmoid_renorm ||
                  kMethod == RouteMethod::deepseek) {
#pragma unroll 1
      for (int j = 0; j < static_cast<int>(top_k); ++j) {
        all = add_rn(all, __shfl_sync(0xFFFFFFFFu, weight, j));
      }
      if constexpr (kMethod != RouteMethod::renormalize) {
        all = add_rn(all, 1e-20f);
      }
    }
    if constexpr (kMethod == RouteMethod::deepseek) {
      weight = mul_rn(weight, scale);
    }
    if constexpr (kMethod != RouteMethod::sigmoid && kMethod != RouteMethod::llama4 &&
                  kMethod != RouteMethod::raw) {
      weight = div_rn(weight, all);
    }
    if (lane < static_cast<int>(top_k)) {
      store(ids + token * top_k + lane, id);
      store(weights + token * top_k + lane, weight);
    }
  }
}

}  // namespace fourge_device
