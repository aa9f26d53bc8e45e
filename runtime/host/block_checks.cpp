// What a block's threads are checked for, and the messages that name them.
#include <fmt/format.h>

#include <fourge/error.hpp>

#include "runtime/host/block_runner.hpp"

namespace fourge::host {

namespace {

// Threads named one by one in a message before the rest is only counted.
constexpr unsigned kMaxNamed = 4;

std::string to_text(const fourge_host::Index3& index) {
  return fmt::format("({},{},{})", index.x, index.y, index.z);
}

const char* to_text(SharedAccess kind) {
  switch (kind) {
    case SharedAccess::load:
      return "reads";
    case SharedAccess::store:
      return "writes";
    case SharedAccess::atomic:
      return "atomically updates";
  }
  return "?";
}

}  // namespace

std::string BlockRunner::name_of(unsigned thread) const {
  return "thread " + to_text(threads_[thread].context.thread_index);
}

std::string BlockRunner::prefix(const Thread& thread) const {
  return fmt::format("host execution of {}: block {}, {}: ", launch_->kernel.label, to_text(block_),
                     name_of(thread.index));
}

void BlockRunner::fail(const std::string& what) const {
  throw Error(ErrorKind::internal, prefix(*running_) + what);
}

void BlockRunner::check_global(std::uintptr_t address, std::size_t bytes, std::size_t align,
                               bool is_store) {
  const auto kind = is_store ? GlobalMemory::Kind::store : GlobalMemory::Kind::load;
  const BufferRegion*& last = last_regions_[is_store ? 1 : 0];
  if (last != nullptr && GlobalMemory::allows(*last, address, bytes, align, kind)) {
    return;
  }
  last = launch_->memory.allowing(address, bytes, align, kind);
  if (last != nullptr) {
    return;
  }
  if (const auto fault = launch_->memory.fault(address, bytes, align, kind)) {
    fail(*fault);
  }
}

void BlockRunner::check_dynamic_shared(std::uintptr_t address, std::size_t bytes) const {
  const std::size_t size = launch_->shape.dynamic_shared_bytes;
  const std::uintptr_t end = dynamic_begin_ + size;
  constexpr std::uintptr_t kNear = 4096;
  if (size == 0 || address + bytes <= dynamic_begin_ - kNear || address >= end + kNear ||
      (address >= dynamic_begin_ && address + bytes <= end)) {
    return;
  }
  // Static shared variables may lie near by chance, but not in the way of the allocation.
  const bool overlaps = address < end && address + bytes > dynamic_begin_;
  const auto storage = reinterpret_cast<std::uintptr_t>(dynamic_shared_.data());
  if (overlaps || (address >= storage && address < storage + dynamic_shared_.size())) {
    fail(
        fmt::format("access of {} bytes at offset {} of dynamic shared memory, which has {} "
                    "bytes. Look for an index beyond the size that the launch rule asks for",
                    bytes, static_cast<std::int64_t>(address - dynamic_begin_), size));
  }
}

void BlockRunner::note_static_shared(std::uintptr_t address, std::size_t bytes) {
  if (address >= dynamic_begin_ && address < dynamic_begin_ + launch_->shape.dynamic_shared_bytes) {
    return;
  }
  constexpr std::uintptr_t kMostBytes = 1 << 20;
  const bool is_first = static_begin_ == static_end_;
  const std::uintptr_t begin = is_first ? address : std::min(static_begin_, address);
  const std::uintptr_t end = std::max(static_end_, address + bytes);
  if (end - begin > kMostBytes) {
    fail(fmt::format("access to shared memory at {:#x}, far from other shared variables", address));
  }
  static_begin_ = begin;
  static_end_ = end;
}

void BlockRunner::check_shared(std::uintptr_t address, std::size_t bytes, SharedAccess kind) {
  if (const BufferRegion* region = launch_->memory.holder(address)) {
    fail(fmt::format("access to shared memory with an address of buffer '{}', which is global",
                     region->name));
  }
  check_dynamic_shared(address, bytes);
  if (launch_->system != nullptr) {
    note_static_shared(address, bytes);
  }
  SharedFault fault{};
  if (shadow_.access(running_->index, address, bytes, kind, fault)) {
    return;
  }
  const auto access =
      fmt::format("{} {} bytes of shared memory at {:#x}", to_text(kind), bytes, address);
  const auto other = name_of(fault.other_thread);
  constexpr const char* kMissing =
      " with no barrier between. Look for a missing __syncthreads(), or __syncwarp() within a warp";
  switch (fault.kind) {
    case SharedFault::Kind::unwritten:
      fail(
          fmt::format("{}, of which byte {} was not written by any thread of the block. Look for "
                      "a store that some threads skip, or an index beyond what was filled",
                      access, fault.address - address));
    case SharedFault::Kind::read_after_write:
    case SharedFault::Kind::write_after_write:
      fail(fmt::format("{}, of which byte {} was written by {}{}", access, fault.address - address,
                       other, kMissing));
    case SharedFault::Kind::write_after_read:
      fail(fmt::format("{}, of which byte {} was read by {}{}", access, fault.address - address,
                       other, kMissing));
  }
}

void BlockRunner::check_atomic(std::uintptr_t address, std::size_t bytes) {
  if (launch_->memory.holder(address) == nullptr && shadow_.written(address)) {
    if (address % bytes != 0) {
      fail(fmt::format("misaligned atomic update of {} bytes of shared memory", bytes));
    }
    check_shared(address, bytes, SharedAccess::atomic);
    return;
  }
  if (const auto fault = launch_->memory.fault(address, bytes, bytes, GlobalMemory::Kind::atomic)) {
    fail(*fault + " (or shared memory that no thread of the block wrote)");
  }
}

void BlockRunner::cluster_store(std::uintptr_t address, unsigned rank, std::uint32_t value) {
  const std::size_t bytes = launch_->shape.dynamic_shared_bytes;
  const unsigned size = cluster_ == nullptr ? 1 : cluster_->size();
  if (rank >= size || address < dynamic_begin_ || address % sizeof(value) != 0 ||
      address - dynamic_begin_ + sizeof(value) > bytes) {
    fail(fmt::format(
        "stores to offset {} of CTA {}'s dynamic shared memory; the cluster has {} CTAs "
        "with {} bytes each",
        static_cast<std::int64_t>(address - dynamic_begin_), rank, size, bytes));
  }
  const Cluster::Store store{address - dynamic_begin_, value};
  if (cluster_ == nullptr) {
    receive(store);  // a cluster of one
  } else if (!cluster_->store(rank, store)) {
    fail(fmt::format(
        "stores to the shared memory of CTA {}, which may not have begun or has exited. "
        "Look for a missing cluster barrier",
        rank));
  }
}

std::string BlockRunner::describe_threads(Phase phase) const {
  std::string named;
  unsigned ranges = 0;
  unsigned total = 0;
  for (unsigned i = 0; i < count_;) {
    if (threads_[i].phase != phase) {
      ++i;
      continue;
    }
    unsigned last = i;
    while (last + 1 < count_ && threads_[last + 1].phase == phase) {
      ++last;
    }
    total += last - i + 1;
    if (ranges++ < kMaxNamed) {
      named += (named.empty() ? "" : ", ") + to_text(threads_[i].context.thread_index);
      if (last != i) {
        named += " to " + to_text(threads_[last].context.thread_index);
      }
    }
    i = last + 1;
  }
  if (ranges > kMaxNamed) {
    named += ", ...";
  }
  return fmt::format("{} ({} of {} threads)", named, total, count_);
}

std::string BlockRunner::describe_warp_waits() const {
  std::string text;
  unsigned groups = 0;
  for (unsigned i = 0; i < count_ && groups < kMaxNamed; ++i) {
    const Thread& thread = threads_[i];
    if (thread.phase != Phase::at_warp) {
      continue;
    }
    // One line for each distinct operation of a warp, at its first lane.
    const unsigned first = i / 32 * 32;
    bool seen = false;
    for (unsigned j = first; j < i; ++j) {
      seen = seen || (threads_[j].phase == Phase::at_warp && threads_[j].mask == thread.mask &&
                      threads_[j].warp_kind == thread.warp_kind);
    }
    if (seen) {
      continue;
    }
    ++groups;
    std::uint32_t waiting = 0;
    std::uint32_t missing = 0;
    for (unsigned lane = 0; lane < 32 && first + lane < count_; ++lane) {
      const Thread& other = threads_[first + lane];
      if ((thread.mask >> lane & 1U) == 0 || other.phase == Phase::exited) {
        continue;
      }
      const bool here = other.phase == Phase::at_warp && other.mask == thread.mask &&
                        other.warp_kind == thread.warp_kind;
      (here ? waiting : missing) |= 1U << lane;
    }
    text += fmt::format(
        "; {} of warp {} waits in {} with mask {:#010x}: lanes {:#010x} arrived, lanes {:#010x} "
        "did not",
        name_of(i), i / 32, to_text(thread.warp_kind), thread.mask, waiting, missing);
  }
  return text;
}

// No thread can go on and not all have exited.
std::string BlockRunner::describe_stall() const {
  const Thread* first = nullptr;
  for (unsigned i = 0; i < count_ && first == nullptr; ++i) {
    if (threads_[i].phase != Phase::exited) {
      first = &threads_[i];
    }
  }
  std::string text = prefix(*first) + "waits for ever";
  if (barrier_arrived_ != 0) {
    text += fmt::format("; at {}: {}", fourge::host::to_text(barrier_kind_),
                        describe_threads(Phase::at_barrier));
  }
  text += describe_warp_waits();
  if (exited_ != 0) {
    text += "; exited without arriving: " + describe_threads(Phase::exited);
  }
  return text +
         ". Look for a return or a branch that keeps threads from a barrier, or a mask that names "
         "lanes which do not come";
}

}  // namespace fourge::host
