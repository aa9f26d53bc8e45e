// What a cubin says about itself: its target, its kernels, what they need. Reads the ELF file's own
// tables, so neither a driver nor a toolkit program is needed, and a cubin of another target can be
// refused before a driver sees it.
//
// The input is not trusted: every offset and length is checked against the bytes at hand. What does
// not fit throws Error(invalid_argument) that says which table is wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fourge::jit {

// The target as the file encodes it. NVRTC 12.9 and 13.0 keep the number in the ELF header; the
// suffix is in the compiler's note (".note.nv.tkinfo"), and 'a' also in the header's flags or
// ".nv.compat".
struct CubinTarget {
  int major = 0;
  int minor = 0;
  char suffix = '\0';         // 'a', 'f' or none
  bool suffix_known = false;  // false: the file has no compiler note and no mark of 'a'

  std::string text() const;  // "sm_90a"
};

struct CubinParam {
  std::uint32_t index = 0;
  std::uint32_t offset = 0;  // in the parameter space, bytes
  std::uint32_t size = 0;    // bytes
  friend bool operator==(const CubinParam&, const CubinParam&) = default;
};

struct CubinKernel {
  std::string name;
  std::uint32_t registers = 0;    // per thread
  std::uint32_t frame_bytes = 0;  // local-memory frame of the entry, per thread
  std::uint32_t stack_bytes = 0;  // least stack with all callees, per thread
  // Static shared memory per CTA that the source asked for, and what the compiler reserves beside
  // it (1 KiB from sm_90 on). Dynamic shared memory is not in the file.
  std::uint64_t static_shared_bytes = 0;
  std::uint64_t reserved_shared_bytes = 0;
  std::uint64_t constant_bytes = 0;  // bank 0: launch state and parameters
  std::uint64_t code_bytes = 0;
  // Instructions that touch local memory. Spills and indexed local arrays both show here.
  std::uint32_t local_loads = 0;
  std::uint32_t local_stores = 0;
  // Loads from global memory that lie before the first wait for the preceding kernel (griddepcontrol.wait), if there is
  // one: with programmatic dependent launch they could read what is not written yet.
  std::uint32_t loads_before_wait = 0;
  std::vector<CubinParam> params;  // by index
};

struct CubinInfo {
  CubinTarget target;
  std::vector<CubinKernel> kernels;  // entries, in the file's order

  // nullptr if the cubin has no such entry.
  const CubinKernel* find(std::string_view name) const noexcept;
};

CubinInfo parse_cubin(std::span<const std::byte> bytes);

}  // namespace fourge::jit
