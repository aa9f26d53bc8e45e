// How expanded tokens (a token and the j-th of its experts) are numbered.
#pragma once

#include "device/types.cuh"

namespace fourge_device {

enum class MoeIndex { padded, compact };

template <MoeIndex kIndex>
FOURGE_INLINE int64 entry_of_token(int64 token, int64 j, int64 tokens, int64 top_k) {
  return kIndex == MoeIndex::padded ? token * top_k + j : j * tokens + token;
}

}  // namespace fourge_device
