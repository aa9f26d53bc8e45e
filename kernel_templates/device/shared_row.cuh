// A row of 16-bit elements in the CTA's dynamic shared memory, as vectors of eight. Threads read blocks of two
// vectors; they are written one by one.
#pragma once

#include "device/global_memory.cuh"

namespace fourge_device {

// Where a row's i-th vector lies, so that neither way of access meets one bank several times. The places of
// a block's two vectors differ in the last bit, and blocks 4 apart lie 8 places apart.
FOURGE_INLINE int shared_place(int i) { return i ^ ((i >> 3) & 1); }

#if defined(FOURGE_HOST_EXECUTION)

// The part of the memory that begins `first` vectors, an even number, after its beginning.
struct SharedRow {
  Words4* vectors;

  FOURGE_INLINE explicit SharedRow(int first)
      : vectors(static_cast<Words4*>(fourge_host::dynamic_shared()) + first) {}

  // That which begins at a place of this one.
  FOURGE_INLINE SharedRow from(int place) const {
    SharedRow row = *this;
    row.vectors += place;
    return row;
  }

  FOURGE_INLINE void put(int place, const Words4& v) const {
    fourge_host::check_shared(vectors + place, sizeof(v), 1);
    vectors[place] = v;
  }
  FOURGE_INLINE Words4 get(int place) const {
    fourge_host::check_shared(vectors + place, sizeof(Words4), 0);
    return vectors[place];
  }
  FOURGE_INLINE void copy(int place, const void* from) const {
    fourge_host::check_global(from, 16, 16, 0);
    put(place, *static_cast<const Words4*>(from));
  }
};

FOURGE_INLINE void copies_done() {}

#else

// Its address in a register: the compiler would rather ask for the window of the CTA at each access.
struct SharedRow {
  uint32 address;

  FOURGE_INLINE explicit SharedRow(int first) {
    extern __shared__ __align__(128) Words4 fourge_shared_row[];
    address = kept(static_cast<uint32>(__cvta_generic_to_shared(fourge_shared_row + first)));
  }

  FOURGE_INLINE uint32 at(int place) const { return address + static_cast<uint32>(place) * 16; }
  // That which begins at a place of this one.
  FOURGE_INLINE SharedRow from(int place) const {
    SharedRow row = *this;
    row.address = kept(at(place));
    return row;
  }

  FOURGE_INLINE void put(int place, const Words4& v) const {
    asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};"
                 :
                 : "r"(at(place)), "r"(v.w[0]), "r"(v.w[1]), "r"(v.w[2]), "r"(v.w[3])
                 : "memory");
  }
  FOURGE_INLINE Words4 get(int place) const {
    Words4 v;
    asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3])
                 : "r"(at(place))
                 : "memory");
    return v;
  }
  // Has a vector copied from global memory; it is there for this thread after copies_done().
  FOURGE_INLINE void copy(int place, const void* from) const {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
                 :
                 : "r"(at(place)), "l"(from)
                 : "memory");
  }
};

FOURGE_INLINE void copies_done() { asm volatile("cp.async.wait_all;" : : : "memory"); }

#endif

FOURGE_INLINE Words8 joined(const Words4& a, const Words4& b) {
  return {{a.w[0], a.w[1], a.w[2], a.w[3], b.w[0], b.w[1], b.w[2], b.w[3]}};
}

// A row's blocks, as a thread reads and writes those whose number is its lane's but for a multiple of 32.
struct SharedBlocks {
  SharedRow lower;  // the first vector of block 0, were it the lane's
  SharedRow upper;

  FOURGE_INLINE SharedBlocks(const SharedRow& row, int lane)
      : lower(row.from(shared_place(2 * lane) & 1)), upper(row.from(~shared_place(2 * lane) & 1)) {}

  FOURGE_INLINE void put(int block, const Words8& words) const {
    lower.put(2 * block, {{words.w[0], words.w[1], words.w[2], words.w[3]}});
    upper.put(2 * block, {{words.w[4], words.w[5], words.w[6], words.w[7]}});
  }
  FOURGE_INLINE Words8 get(int block) const {
    const Words4 a = lower.get(2 * block);
    return joined(a, upper.get(2 * block));
  }
};

}  // namespace fourge_device
