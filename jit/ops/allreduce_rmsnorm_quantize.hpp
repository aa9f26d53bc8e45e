// What the definition of allreduce_rmsnorm_quantize and its launch rule share.
#pragma once

namespace fourge::jit {

inline constexpr int kAllreduceThreads = 512;

}  // namespace fourge::jit
