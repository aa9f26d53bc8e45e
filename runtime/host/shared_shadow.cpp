#include "runtime/host/shared_shadow.hpp"

#include <algorithm>

namespace fourge::host {

namespace {

constexpr std::uint32_t kLastEpoch = 0xF0000000U;
// Each OS thread has its own shared variables, so addresses of finished threads pile up.
constexpr std::size_t kMaxPages = 2048;

}  // namespace

void SharedShadow::begin_block(unsigned threads) {
  if (epoch_ > kLastEpoch || pages_.size() > kMaxPages) {
    pages_.clear();
    last_page_ = nullptr;
    epoch_ = 0;
  }
  first_epoch_ = ++epoch_;
  clocks_.resize(std::max<std::size_t>(clocks_.size(), threads));
  for (unsigned t = 0; t < threads; ++t) {
    clocks_[t].fill(0);
    clocks_[t][t % 32] = 1;
  }
}

void SharedShadow::warp_sync(unsigned warp, std::uint32_t lanes) {
  Clock joined{};
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((lanes >> lane & 1U) != 0) {
      const Clock& clock = clocks_[warp * 32 + lane];
      for (unsigned i = 0; i < 32; ++i) {
        joined[i] = std::max(joined[i], clock[i]);
      }
    }
  }
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((lanes >> lane & 1U) != 0) {
      clocks_[warp * 32 + lane] = joined;
      ++clocks_[warp * 32 + lane][lane];
    }
  }
}

SharedShadow::Byte& SharedShadow::byte_at(std::uintptr_t address) {
  const std::uintptr_t number = address / kPageBytes;
  if (last_page_ == nullptr || last_page_number_ != number) {
    auto& page = pages_[number];
    if (!page) {
      page = std::make_unique<Page>();
    }
    last_page_ = page.get();
    last_page_number_ = number;
  }
  return (*last_page_)[address % kPageBytes];
}

bool SharedShadow::ordered(const Stamp& earlier, unsigned thread) const {
  if (earlier.epoch != epoch_ || earlier.thread == thread) {
    return true;
  }
  return earlier.thread / 32U == thread / 32U &&
         clocks_[thread][earlier.thread % 32U] >= earlier.clock;
}

bool SharedShadow::access_byte(Byte& byte, const Stamp& now, SharedAccess kind,
                               SharedFault& fault) const {
  const bool was_written = byte.write.epoch >= first_epoch_;
  if (kind != SharedAccess::store && !was_written) {
    fault.kind = SharedFault::Kind::unwritten;
    return false;
  }
  const bool both_atomic = kind == SharedAccess::atomic && byte.write.atomic != 0;
  if (was_written && !both_atomic && !ordered(byte.write, now.thread)) {
    fault.kind = kind == SharedAccess::store ? SharedFault::Kind::write_after_write
                                             : SharedFault::Kind::read_after_write;
    fault.other_thread = byte.write.thread;
    return false;
  }
  if (kind == SharedAccess::load) {
    if (byte.reads[0].thread / 32U != now.thread / 32U) {
      byte.reads[1] = byte.reads[0];
    }
    byte.reads[0] = now;
    return true;
  }
  for (const Stamp& read : byte.reads) {
    if (read.epoch >= first_epoch_ && !ordered(read, now.thread)) {
      fault.kind = SharedFault::Kind::write_after_read;
      fault.other_thread = read.thread;
      return false;
    }
  }
  byte.write = now;
  return true;
}

bool SharedShadow::access(unsigned thread, std::uintptr_t address, std::size_t bytes,
                          SharedAccess kind, SharedFault& fault) {
  const Stamp now{epoch_, clocks_[thread][thread % 32], static_cast<std::uint16_t>(thread),
                  static_cast<std::uint16_t>(kind == SharedAccess::atomic ? 1 : 0)};
  for (std::size_t i = 0; i < bytes; ++i) {
    fault.address = address + i;
    if (!access_byte(byte_at(address + i), now, kind, fault)) {
      return false;
    }
  }
  return true;
}

bool SharedShadow::written(std::uintptr_t address) const {
  const auto page = pages_.find(address / kPageBytes);
  return page != pages_.end() && (*page->second)[address % kPageBytes].write.epoch >= first_epoch_;
}

}  // namespace fourge::host
