#include "runtime/host/global_memory.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace fourge::host {

namespace {

std::uintptr_t begin_of(const BufferRegion& region) {
  return reinterpret_cast<std::uintptr_t>(region.pointer);
}

const char* to_text(Access access) {
  switch (access) {
    case Access::read:
      return "read-only";
    case Access::write:
      return "write-only";
    case Access::read_write:
      return "read-write";
  }
  return "?";
}

const char* to_text(GlobalMemory::Kind kind) {
  switch (kind) {
    case GlobalMemory::Kind::load:
      return "load";
    case GlobalMemory::Kind::store:
      return "store";
    case GlobalMemory::Kind::atomic:
      return "atomic update";
  }
  return "?";
}

// Bytes from the region to an access that does not lie in it; 0 if they overlap.
std::uintptr_t distance(const BufferRegion& region, std::uintptr_t address, std::size_t bytes) {
  const std::uintptr_t begin = begin_of(region);
  const std::uintptr_t end = begin + region.bytes;
  if (address >= end) {
    return address - end;
  }
  return address + bytes <= begin ? begin - (address + bytes) : 0;
}

}  // namespace

GlobalMemory::GlobalMemory(std::span<const BufferRegion> regions) {
  for (const BufferRegion& region : regions) {
    if (region.pointer != nullptr && region.bytes != 0) {
      regions_.push_back(region);
    }
  }
}

const BufferRegion* GlobalMemory::allowing(std::uintptr_t address, std::size_t bytes,
                                           std::size_t align, Kind kind) const {
  for (const BufferRegion& region : regions_) {
    if (allows(region, address, bytes, align, kind)) {
      return &region;
    }
  }
  return nullptr;
}

const BufferRegion* GlobalMemory::holder(std::uintptr_t address) const {
  for (const BufferRegion& region : regions_) {
    if (address >= begin_of(region) && address - begin_of(region) < region.bytes) {
      return &region;
    }
  }
  return nullptr;
}

std::optional<std::string> GlobalMemory::fault(std::uintptr_t address, std::size_t bytes,
                                               std::size_t align, Kind kind) const {
  const BufferRegion* forbidding = nullptr;
  const BufferRegion* containing = nullptr;
  for (const BufferRegion& region : regions_) {
    if (!holds(region, address, bytes)) {
      continue;
    }
    if (allows(region.access, kind)) {
      if ((address & (align - 1)) == 0) {
        return std::nullopt;
      }
      containing = &region;
      break;
    }
    forbidding = &region;
  }
  const auto access = fmt::format("{} of {} bytes", to_text(kind), bytes);
  if (containing == nullptr && forbidding != nullptr) {
    return fmt::format(
        "{} at offset {} of buffer '{}' ({} bytes), which is {}. Look for swapped pointers, or "
        "declare the access in the op's regions",
        access, address - begin_of(*forbidding), forbidding->name, forbidding->bytes,
        to_text(forbidding->access));
  }
  if (containing == nullptr) {
    return fmt::format("{} {}", access, describe_outside(address, bytes));
  }
  return fmt::format(
      "misaligned {} at offset {} of buffer '{}' ({} bytes): address {:#x} is not a multiple of "
      "{}. Look for a vector access whose index is not a multiple of the vector, or a buffer that "
      "the op's contract does not ask to be aligned enough",
      access, address - begin_of(*containing), containing->name, containing->bytes, address, align);
}

std::string GlobalMemory::describe_outside(std::uintptr_t address, std::size_t bytes) const {
  if (regions_.empty()) {
    return fmt::format("at {:#x}; the launch declared no buffers", address);
  }
  const auto nearest = std::min_element(
      regions_.begin(), regions_.end(), [&](const BufferRegion& a, const BufferRegion& b) {
        return distance(a, address, bytes) < distance(b, address, bytes);
      });
  const std::uintptr_t begin = begin_of(*nearest);
  std::string where;
  if (address < begin) {
    where = fmt::format("begins {} bytes before the start", begin - address);
  } else if (address >= begin + nearest->bytes) {
    where = fmt::format("begins {} bytes after the end", address - (begin + nearest->bytes));
  } else {
    where = fmt::format("at offset {} runs {} bytes past the end", address - begin,
                        address + bytes - (begin + nearest->bytes));
  }
  return fmt::format(
      "out of bounds: {} of buffer '{}' ({} bytes, {}), the nearest; address {:#x}. Look for an "
      "index that is not compared with the shape, or 32-bit index arithmetic that overflows",
      where, nearest->name, nearest->bytes, to_text(nearest->access), address);
}

}  // namespace fourge::host
