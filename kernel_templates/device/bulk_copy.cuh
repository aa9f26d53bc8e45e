// Copies of many bytes between device and shared memory that the copy engine makes (cp.async.bulk, sm_90 and later):
// no thread has registers waiting for them, and one instruction asks for a whole row.
#pragma once

#include "device/shared_row.cuh"
#include "device/store_words.cuh"

namespace fourge_device {

// Use, by all threads of the CTA: construct, ask() by thread 0, __syncthreads(), wait(), read; then, when all have
// read, ask() by thread 0 for the next, wait(), and so on.
struct BulkCopy {
  SharedRow row;  // where it goes
#if !defined(FOURGE_HOST_EXECUTION)
  uint32 barrier;
  uint32 parity;  // of its phase that is waited for
#endif

#if defined(FOURGE_HOST_EXECUTION)

  FOURGE_INLINE BulkCopy(uint64&, const SharedRow& to) : row(to) {}
  FOURGE_INLINE void ask(const char* from, uint32 bytes) const {
    for (uint32 i = 0; i < bytes / 16; ++i) {
      row.copy(static_cast<int>(i), from + i * 16);
    }
  }
  FOURGE_INLINE void ask_two(const char* one, const char* other, uint32 bytes) const {
    ask(one, bytes);
    for (uint32 i = 0; i < bytes / 16; ++i) {
      row.copy(static_cast<int>(i + bytes / 16), other + i * 16);
    }
  }
  // Threads take turns at barriers only.
  FOURGE_INLINE void wait() { __syncthreads(); }

#else

  FOURGE_INLINE BulkCopy(uint64& barrier_of_cta, const SharedRow& to)
      : row(to),
        barrier(kept(static_cast<uint32>(__cvta_generic_to_shared(&barrier_of_cta)))),
        parity(0) {
    // In a branch of this thread's own, as ask() is: to compute-sanitizer an instruction of the whole warp would race with it.
    if_seldom(threadIdx.x == 0, [&] {
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier) : "memory");
      // For the copy engine; for the other threads __syncthreads() does it.
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    });
  }
  // bytes: a multiple of 16, from such an address.
  FOURGE_INLINE void ask(const char* from, uint32 bytes) const {
    expect(bytes);
    copy(row.address, from, bytes);
  }
  // And as many bytes behind them.
  FOURGE_INLINE void ask_two(const char* one, const char* other, uint32 bytes) const {
    expect(2 * bytes);
    copy(row.address, one, bytes);
    copy(row.address + bytes, other, bytes);
  }
  FOURGE_INLINE void wait() {
    asm volatile(
        "{.reg .pred arrived;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 arrived, [%0], %1;\n"
        "@!arrived bra again;}" ::"r"(barrier),
        "r"(parity)
        : "memory");
    parity ^= 1;
  }

 private:
  FOURGE_INLINE void expect(uint32 bytes) const {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
                 : "memory");
  }
  FOURGE_INLINE void copy(uint32 to, const char* from, uint32 bytes) const {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
            "r"(to),
        "l"(from), "r"(bytes), "r"(barrier)
        : "memory");
  }

#endif
};

// Has `bytes` of `row`, a multiple of 16, copied to an address that is one, too; what lies in the row was put there by
// a copy that all lanes have waited for. A thread that asked waits for bulk_stores_read() before its CTA ends. The lines
// leave L2 before others do, as with store_words_once().
FOURGE_INLINE void bulk_store_once(char* to, const SharedRow& row, uint32 bytes) {
#if defined(FOURGE_HOST_EXECUTION)
  for (uint32 i = 0; i < bytes / 16; ++i) {
    store_words(to + i * 16, row.get(static_cast<int>(i)).w);
  }
#else
  asm volatile(
      "{.reg .b64 policy;\n"
      "createpolicy.fractional.L2::evict_first.b64 policy, 1.0;\n"
      "cp.async.bulk.global.shared::cta.bulk_group.L2::cache_hint [%0], [%1], %2, policy;}" ::"l"(
          to),
      "r"(row.address), "r"(bytes)
      : "memory");
#endif
}
FOURGE_INLINE void bulk_stores_read() {
#if !defined(FOURGE_HOST_EXECUTION)
  asm volatile(
      "cp.async.bulk.commit_group;\n"
      "cp.async.bulk.wait_group.read 0;" ::
          : "memory");
#endif
}

}  // namespace fourge_device
