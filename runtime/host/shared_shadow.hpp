// What is known of each byte of a block's shared memory: who wrote it last and who read it, and
// when, so that reads of unwritten bytes and unordered accesses are found. Two accesses are ordered
// if a block barrier lies between, or a chain of operations of one warp that both threads took part
// in. Every race reported is one; of several readers since the last barrier only the last of two
// warps is remembered.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

namespace fourge::host {

enum class SharedAccess { load, store, atomic };

struct SharedFault {
  enum class Kind { unwritten, read_after_write, write_after_write, write_after_read };
  Kind kind;
  std::uintptr_t address;  // the first byte concerned
  unsigned other_thread;   // the thread of the earlier access; unused for unwritten
};

// Of one block at a time; not thread-safe. Threads are linear indices below 1024.
class SharedShadow {
 public:
  // Forgets all. threads: how many the block has.
  void begin_block(unsigned threads);
  // All threads of the block have met.
  void barrier() { ++epoch_; }
  // The threads of these lanes of a warp have met.
  void warp_sync(unsigned warp, std::uint32_t lanes);
  // Records an access. False and the fault if it is not in order.
  bool access(unsigned thread, std::uintptr_t address, std::size_t bytes, SharedAccess kind,
              SharedFault& fault);
  // Whether some thread of the block wrote this byte.
  bool written(std::uintptr_t address) const;

 private:
  static constexpr std::uintptr_t kPageBytes = 256;

  // An access: valid if its epoch belongs to this block.
  struct Stamp {
    std::uint32_t epoch = 0;
    std::uint32_t clock = 0;
    std::uint16_t thread = 0;
    std::uint16_t atomic = 0;
  };
  struct Byte {
    Stamp write;
    std::array<Stamp, 2> reads;  // the last, and the last of another warp
  };
  using Page = std::array<Byte, kPageBytes>;
  using Clock = std::array<std::uint32_t, 32>;

  Byte& byte_at(std::uintptr_t address);
  bool ordered(const Stamp& earlier, unsigned thread) const;
  bool access_byte(Byte& byte, const Stamp& now, SharedAccess kind, SharedFault& fault) const;

  std::unordered_map<std::uintptr_t, std::unique_ptr<Page>> pages_;
  std::uintptr_t last_page_number_ = 0;
  Page* last_page_ = nullptr;
  std::vector<Clock> clocks_;  // per thread: what it knows of each lane of its warp
  std::uint32_t epoch_ = 0;
  std::uint32_t first_epoch_ = 1;  // of this block; older stamps are of earlier blocks
};

}  // namespace fourge::host
