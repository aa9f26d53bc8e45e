// Checks accesses to global memory against the buffers that a launch declared.
#pragma once

#include <cstdint>
#include <fourge/op_definition.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace fourge::host {

// Immutable after construction, so any number of threads may ask.
class GlobalMemory {
 public:
  enum class Kind { load, store, atomic };

  // Regions of no bytes or without a pointer are left out.
  explicit GlobalMemory(std::span<const BufferRegion> regions);

  // What is wrong with the access; nothing if it lies in one region that allows it, aligned.
  // align: a power of two, in bytes.
  std::optional<std::string> fault(std::uintptr_t address, std::size_t bytes, std::size_t align,
                                   Kind kind) const;
  // The region that allows such an access, or null.
  const BufferRegion* allowing(std::uintptr_t address, std::size_t bytes, std::size_t align,
                               Kind kind) const;
  static bool allows(const BufferRegion& region, std::uintptr_t address, std::size_t bytes,
                     std::size_t align, Kind kind) {
    return holds(region, address, bytes) && allows(region.access, kind) &&
           (address & (align - 1)) == 0;
  }
  // The region that holds this byte, or null.
  const BufferRegion* holder(std::uintptr_t address) const;

 private:
  static bool holds(const BufferRegion& region, std::uintptr_t address, std::size_t bytes) {
    const auto begin = reinterpret_cast<std::uintptr_t>(region.pointer);
    return address >= begin && address - begin <= region.bytes &&
           region.bytes - (address - begin) >= bytes;
  }
  static bool allows(Access access, Kind kind) {
    return access == Access::read_write ||
           (kind != Kind::atomic && (access == Access::write) == (kind == Kind::store));
  }
  std::string describe_outside(std::uintptr_t address, std::size_t bytes) const;

  std::vector<BufferRegion> regions_;
};

}  // namespace fourge::host
