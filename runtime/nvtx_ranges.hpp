// Ranges for NVIDIA's profilers around what takes time: compiling and loading. They cost one test of a
// pointer where no profiler listens. Built without NVTX's header (cmake says so) there are none.
#pragma once

#include <string>
#include <string_view>

struct nvtxDomainRegistration_st;

namespace fourge {

// Whether this build has them.
bool nvtx_available() noexcept;

class NvtxRanges {
 public:
  // The domain is "fourge". Not enabled: nothing is called.
  explicit NvtxRanges(bool enabled);

  // From its creation to its end, on the calling thread: "compile SPEC".
  class Range {
   public:
    Range(const NvtxRanges& ranges, std::string_view what, const std::string& spec);
    ~Range();
    Range(const Range&) = delete;
    Range& operator=(const Range&) = delete;

   private:
    nvtxDomainRegistration_st* domain_;
  };

 private:
  nvtxDomainRegistration_st* domain_ = nullptr;
};

}  // namespace fourge
