// The only doors to device memory. Each access is naturally aligned; on the host each is checked
// against the buffers that the call declared.
#pragma once

#include "device/types.cuh"

namespace fourge_device {

// Eight 32-bit words: a block of 16 elements of 16 bits.
struct Words8 {
  uint32 w[8];
};

// Four: a block of 16 elements of 8 bits, or eight of 16.
struct alignas(16) Words4 {
  uint32 w[4];
};

#if defined(FOURGE_HOST_EXECUTION)

template <class T>
FOURGE_INLINE T load(const T* p) {
  fourge_host::check_global(p, sizeof(T), sizeof(T), 0);
  return *p;
}
template <class T>
FOURGE_INLINE void store(T* p, T value) {
  fourge_host::check_global(p, sizeof(T), sizeof(T), 1);
  *p = value;
}
template <bool kWide>
FOURGE_INLINE Words8 load_words8(const void* p) {
  fourge_host::check_global(p, 32, kWide ? 32 : 16, 0);
  return *static_cast<const Words8*>(p);
}
FOURGE_INLINE Words4 load_words4(const void* p) {
  fourge_host::check_global(p, 16, 16, 0);
  return *static_cast<const Words4*>(p);
}

#else

// Read through the non-coherent path: nothing writes an input during the kernel.
template <class T>
FOURGE_INLINE T load(const T* p) {
  return __ldg(p);
}
template <class T>
FOURGE_INLINE void store(T* p, T value) {
  *p = value;
}
// One 32-byte load where the target has it, otherwise two of 16 bytes.
template <bool kWide>
FOURGE_INLINE Words8 load_words8(const void* p) {
  Words8 v;
  if constexpr (kWide) {
    asm volatile("ld.global.nc.v8.b32 {%0, %1, %2, %3, %4, %5, %6, %7}, [%8];"
                 : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3]), "=r"(v.w[4]),
                   "=r"(v.w[5]), "=r"(v.w[6]), "=r"(v.w[7])
                 : "l"(p));
  } else {
    asm volatile("ld.global.nc.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3])
                 : "l"(p));
    asm volatile("ld.global.nc.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.w[4]), "=r"(v.w[5]), "=r"(v.w[6]), "=r"(v.w[7])
                 : "l"(static_cast<const char*>(p) + 16));
  }
  return v;
}
FOURGE_INLINE Words4 load_words4(const void* p) {
  Words4 v;
  asm volatile("ld.global.nc.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3])
               : "l"(p));
  return v;
}

#endif

// Asks for what will be loaded soon.
FOURGE_INLINE void prefetch_to_l2(const char* p) {
#if !defined(FOURGE_HOST_EXECUTION)
  asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
#endif
}

// The same value, in a register from here on: the compiler would rather compute an address anew for each
// use, which costs what a loop is there to save.
template <class T>
FOURGE_INLINE T* kept(T* p) {
#if !defined(FOURGE_HOST_EXECUTION)
  asm volatile("" : "+l"(p));
#endif
  return p;
}
FOURGE_INLINE uint32 kept(uint32 value) {
#if !defined(FOURGE_HOST_EXECUTION)
  asm volatile("" : "+r"(value));
#endif
  return value;
}
FOURGE_INLINE float kept(float value) {
#if !defined(FOURGE_HOST_EXECUTION)
  asm volatile("" : "+f"(value));
#endif
  return value;
}
FOURGE_INLINE Words8 kept(Words8 words) {
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    words.w[i] = kept(words.w[i]);
  }
  return words;
}

// Calls f() if the condition holds, which it seldom does. The compiler sees a loop of an unknown count: out of
// a mere branch it would make instructions that are issued for nothing.
template <class F>
FOURGE_INLINE void if_seldom(bool condition, const F& f) {
#pragma unroll 1
  for (uint32 left = kept(condition ? 1u : 0u); left != 0; --left) {
    f();
  }
}

// Calls f() if the condition holds, which is for calls that end soon: the code of f() lies here, and what follows lies behind
// it. Out of a branch that ends the kernel the compiler would make code at its end, and each jump to instructions that are not
// in the cache costs a small call some 20 ns.
template <class F>
FOURGE_INLINE void if_here(bool condition, const F& f) {
  if_seldom(condition, f);
}

// p + count * size bytes, in one operation.
template <class T>
FOURGE_INLINE T* advance(T* p, uint32 count, uint32 size) {
#if defined(FOURGE_HOST_EXECUTION)
  return reinterpret_cast<T*>(reinterpret_cast<uint64>(p) + static_cast<uint64>(count) * size);
#else
  T* result;
  asm("mad.wide.u32 %0, %1, %2, %3;" : "=l"(result) : "r"(count), "r"(size), "l"(p));
  return result;
#endif
}

// Waits until everything the preceding kernel wrote is visible, when this kernel was launched with programmatic dependent
// launch; otherwise does nothing. Nothing may be read before it. To the assembler loads through the non-coherent path are
// free to move, and it has moved some before the wait, but not before a branch. So one should lie between; the compile test
// looks for loads before the wait. A branch for its own sake (kBranch) is never taken and costs small calls some 40 ns.
template <class Config, bool kBranch = false>
FOURGE_INLINE void wait_for_predecessor() {
#if !defined(FOURGE_HOST_EXECUTION)
  if constexpr (Config::kGridDependency()) {
    asm volatile("griddepcontrol.wait;" ::: "memory");
    if constexpr (kBranch) {
      asm volatile(
          "{.reg .pred never;\n"
          "setp.eq.u32 never, %0, 0;\n"
          "@never exit;}" ::"r"(blockDim.x)
          : "memory");
    }
  }
#endif
}

// Lets the next kernel's CTAs take their places as soon as all of this kernel's have, when that one is
// launched with programmatic dependent launch. It reads nothing before this one has ended.
template <class Config>
FOURGE_INLINE void let_successor_start() {
#if !defined(FOURGE_HOST_EXECUTION)
  if constexpr (Config::kGridDependency()) {
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  }
#endif
}

}  // namespace fourge_device
