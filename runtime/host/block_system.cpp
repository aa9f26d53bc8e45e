// A block's accesses to memory that several devices use.
#include <chrono>
#include <cstring>

#include "runtime/host/block_runner.hpp"
#include "runtime/host/system_memory.hpp"

namespace fourge::host {

namespace {

// Blocks of a launch on one device only: they run on several OS threads.
void copy_words(void* to, const void* from, std::size_t bytes, bool is_store) {
  for (std::size_t i = 0; i < bytes; i += sizeof(std::uint64_t)) {
    auto* const target = reinterpret_cast<std::uint64_t*>(static_cast<unsigned char*>(to) + i);
    const auto* const source =
        reinterpret_cast<const std::uint64_t*>(static_cast<const unsigned char*>(from) + i);
    std::uint64_t word = 0;
    if (is_store) {
      std::memcpy(&word, source, sizeof(word));
      __atomic_store_n(target, word, __ATOMIC_RELEASE);
    } else {
      word = __atomic_load_n(source, __ATOMIC_ACQUIRE);
      std::memcpy(target, &word, sizeof(word));
    }
  }
}

}  // namespace

void BlockRunner::system_store(std::uintptr_t address, const void* data, std::size_t bytes,
                               bool is_release) {
  void* const to = reinterpret_cast<void*>(address);
  if (launch_->system == nullptr) {
    copy_words(to, data, bytes, true);
    return;
  }
  launch_->system->store({running_->index, barriers_}, to, data, bytes, is_release);
}

void BlockRunner::system_load(std::uintptr_t address, void* data, std::size_t bytes) {
  const void* const from = reinterpret_cast<const void*>(address);
  if (launch_->system == nullptr) {
    copy_words(data, from, bytes, false);
    return;
  }
  launch_->system->load(from, data, bytes);
}

std::uint64_t BlockRunner::nanoseconds() const {
  if (launch_->system != nullptr) {
    return launch_->system->nanoseconds();
  }
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

}  // namespace fourge::host
