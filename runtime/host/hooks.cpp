#include "runtime/host/hooks.hpp"

#include <cstdint>

#include "runtime/host/block_runner.hpp"

namespace fourge::host {

namespace {

BlockRunner& runner() { return *BlockRunner::current(); }

std::uintptr_t to_address(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

const fourge_host::ThreadContext* context() { return runner().context(); }

void check_global(const void* address, unsigned long bytes, unsigned long align, int is_store) {
  runner().check_global(to_address(address), bytes, align, is_store != 0);
}

void check_shared(const void* address, unsigned long bytes, int is_store) {
  runner().check_shared(to_address(address), bytes,
                        is_store != 0 ? SharedAccess::store : SharedAccess::load);
}

void check_atomic(const void* address, unsigned long bytes) {
  runner().check_atomic(to_address(address), bytes);
}

int barrier(fourge_host::BarrierKind kind, int predicate) {
  return runner().barrier(kind, predicate);
}

unsigned long long warp(fourge_host::WarpKind kind, unsigned mask, unsigned long long value,
                        int argument, int width) {
  return runner().warp(kind, mask, LaneOperand{value, argument, width});
}

unsigned active_mask() { return runner().active_mask(); }

void trap() { runner().fail("executed __trap()"); }

void cluster_store(void* address, unsigned rank, unsigned value) {
  runner().cluster_store(to_address(address), rank, value);
}

void system_store(void* address, const void* data, unsigned long bytes, int is_release) {
  runner().system_store(to_address(address), data, bytes, is_release != 0);
}

void system_load(const void* address, void* data, unsigned long bytes) {
  runner().system_load(to_address(address), data, bytes);
}

unsigned long long nanoseconds() { return runner().nanoseconds(); }

constexpr fourge_host::Hooks kHooks{&context,       &check_global, &check_shared, &check_atomic,
                                    &barrier,       &warp,         &active_mask,  &trap,
                                    &cluster_store, &system_store, &system_load,  &nanoseconds};

}  // namespace

const fourge_host::Hooks& kernel_hooks() noexcept { return kHooks; }

}  // namespace fourge::host
