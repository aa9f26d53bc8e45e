// Stores of several 32-bit words, 16 bytes at a time and aligned to them; two are 8 bytes.
#pragma once

#include "device/global_memory.cuh"

namespace fourge_device {

FOURGE_INLINE void store_words(void* p, const uint32 (&w)[4]) {
#if defined(FOURGE_HOST_EXECUTION)
  fourge_host::check_global(p, 16, 16, 1);
  for (int i = 0; i < 4; ++i) {
    static_cast<uint32*>(p)[i] = w[i];
  }
#else
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};"
               :
               : "l"(p), "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3])
               : "memory");
#endif
}
// The same of what nobody reads soon: it leaves L2 before other lines do.
FOURGE_INLINE void store_words_once(void* p, const uint32 (&w)[4]) {
#if defined(FOURGE_HOST_EXECUTION)
  store_words(p, w);
#else
  asm volatile("st.global.cs.v4.b32 [%0], {%1, %2, %3, %4};"
               :
               : "l"(p), "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3])
               : "memory");
#endif
}
FOURGE_INLINE void store_words(void* p, const uint32 (&w)[2]) {
  store(static_cast<uint64*>(p), w[0] | (static_cast<uint64>(w[1]) << 32));
}
FOURGE_INLINE void store_words(void* p, const uint32 (&w)[8]) {
  const uint32 lower[4] = {w[0], w[1], w[2], w[3]};
  const uint32 upper[4] = {w[4], w[5], w[6], w[7]};
  store_words(p, lower);
  store_words(static_cast<char*>(p) + 16, upper);
}

}  // namespace fourge_device
