// Copies from device to shared memory that go on while the thread works, and loads of what has come. They go in
// groups; what has arrived is visible to the thread that asked for it, to the others after a barrier.
#pragma once

#include "device/global_memory.cuh"

namespace fourge_device {

struct Floats2 {
  float v[2];
};

#if defined(FOURGE_HOST_EXECUTION)

using SharedAddress = uint8*;

FOURGE_INLINE SharedAddress shared_address(void* base, uint32 offset) {
  return static_cast<uint8*>(base) + offset;
}
// 16 bytes, aligned on both sides.
FOURGE_INLINE void copy_words_async(SharedAddress to, const void* from) {
  fourge_host::check_global(from, 16, 16, 0);
  fourge_host::check_shared(to, 16, 1);
  *reinterpret_cast<Words4*>(to) = *static_cast<const Words4*>(from);
}
FOURGE_INLINE void copy_word_async(SharedAddress to, const float* from) {
  fourge_host::check_global(from, 4, 4, 0);
  fourge_host::check_shared(to, 4, 1);
  *reinterpret_cast<float*>(to) = *from;
}
template <class T>
FOURGE_INLINE T shared_value(SharedAddress from) {
  fourge_host::check_shared(from, sizeof(T), 0);
  return *reinterpret_cast<const T*>(from);
}
FOURGE_INLINE Words4 shared_words(SharedAddress from) { return shared_value<Words4>(from); }
FOURGE_INLINE uint32 shared_word(SharedAddress from) { return shared_value<uint32>(from); }
FOURGE_INLINE Floats2 shared_floats(SharedAddress from) { return shared_value<Floats2>(from); }
FOURGE_INLINE uint8 shared_byte(SharedAddress from) { return shared_value<uint8>(from); }
FOURGE_INLINE void put_shared_float(SharedAddress to, float value) {
  fourge_host::check_shared(to, sizeof(value), 1);
  *reinterpret_cast<float*>(to) = value;
}
FOURGE_INLINE void put_shared_words(SharedAddress to, const Words4& words) {
  fourge_host::check_shared(to, sizeof(words), 1);
  *reinterpret_cast<Words4*>(to) = words;
}

#else

// In a register: the compiler would rather compute it for each access.
using SharedAddress = uint32;

FOURGE_INLINE SharedAddress shared_address(void* base, uint32 offset) {
  return kept(static_cast<uint32>(__cvta_generic_to_shared(base)) + offset);
}
// What lies beside them is wanted soon and comes to L2 with them: the lines of a row, the scales of other rows.
FOURGE_INLINE void copy_words_async(SharedAddress to, const void* from) {
  asm volatile("cp.async.cg.shared.global.L2::256B [%0], [%1], 16;" ::"r"(to), "l"(from)
               : "memory");
}
FOURGE_INLINE void copy_word_async(SharedAddress to, const float* from) {
  asm volatile("cp.async.ca.shared.global.L2::128B [%0], [%1], 4;" ::"r"(to), "l"(from) : "memory");
}
FOURGE_INLINE Words4 shared_words(SharedAddress from) {
  Words4 v;
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3])
               : "r"(from));
  return v;
}
FOURGE_INLINE uint32 shared_word(SharedAddress from) {
  uint32 v;
  asm volatile("ld.shared.b32 %0, [%1];" : "=r"(v) : "r"(from));
  return v;
}
FOURGE_INLINE Floats2 shared_floats(SharedAddress from) {
  Floats2 v;
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(v.v[0]), "=f"(v.v[1]) : "r"(from));
  return v;
}
FOURGE_INLINE void put_shared_float(SharedAddress to, float value) {
  asm volatile("st.shared.f32 [%0], %1;" ::"r"(to), "f"(value) : "memory");
}
FOURGE_INLINE void put_shared_words(SharedAddress to, const Words4& words) {
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(words.w[0]),
               "r"(words.w[1]), "r"(words.w[2]), "r"(words.w[3])
               : "memory");
}
FOURGE_INLINE uint8 shared_byte(SharedAddress from) {
  uint32 v;
  asm volatile("ld.shared.u8 %0, [%1];" : "=r"(v) : "r"(from));
  return static_cast<uint8>(v);
}

#endif

// Ends a group, which may be empty.
FOURGE_INLINE void end_copy_group() {
#if !defined(FOURGE_HOST_EXECUTION)
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Until all but the latest kLater groups have arrived.
template <int kLater>
FOURGE_INLINE void wait_for_copies() {
#if !defined(FOURGE_HOST_EXECUTION)
  asm volatile("cp.async.wait_group %0;" ::"n"(kLater) : "memory");
#endif
}

}  // namespace fourge_device
