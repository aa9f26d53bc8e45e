// global_scale: see fourge/amax.hpp for the contract.
//
// Each CTA adds its maximum to workspace[0] and counts itself in workspace[1]. The one that comes last
// sees the maxima of all, writes the results and leaves the workspace zeroed for the next launch.
#pragma once

#include "device/magnitude.cuh"
#include "device/reduce.cuh"

namespace fourge_device {

// The encode scale for a tensor's largest magnitude.
template <class Config>
FOURGE_INLINE float encode_scale_of(float amax) {
  const float scale = min_num(div_rn(mul_rn(Config::kRange(), 6.0f), amax), kFloatMax());
  return is_zero(scale) ? 1.0f : scale;  // amax was infinite
}

template <class Config>
FOURGE_INLINE void global_scale_kernel(const void* x, float* amax, float* global_scale,
                                       uint32* workspace, int64 elements) {
  using Elements = Magnitude<Config::kInput()>;
  __shared__ SharedArray<uint32, 32> scratch;
  const int64 first = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64 stride = static_cast<int64>(gridDim.x) * blockDim.x;

  wait_for_predecessor<Config>();
  const uint32 own = largest_magnitude<Config>(x, first, stride, elements / Elements::kElements);
  const uint32 of_cta = cta_max(own, scratch);
  if (threadIdx.x == 0) {
    atomicMax(workspace, of_cta);
    __threadfence();
    if (atomicAdd(workspace + 1, 1u) == gridDim.x - 1) {
      __threadfence();
      // An atomic update that changes nothing reads what the others left.
      const float largest = Elements::value(atomicMax(workspace, 0u));
      store(amax, largest);
      store(global_scale, encode_scale_of<Config>(largest));
      store(workspace, 0u);
      store(workspace + 1, 0u);
    }
  }
}

}  // namespace fourge_device
