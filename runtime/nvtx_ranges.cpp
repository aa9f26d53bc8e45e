#include "runtime/nvtx_ranges.hpp"

#if FOURGE_HAVE_NVTX
#include <nvtx3/nvToolsExt.h>
#endif

namespace fourge {

#if FOURGE_HAVE_NVTX

bool nvtx_available() noexcept { return true; }

// The domain is not destroyed: profilers may give every Runtime the same one.
NvtxRanges::NvtxRanges(bool enabled) : domain_(enabled ? nvtxDomainCreateA("fourge") : nullptr) {}

NvtxRanges::Range::Range(const NvtxRanges& ranges, std::string_view what, const std::string& spec)
    : domain_(ranges.domain_) {
  if (domain_ == nullptr) return;
  const std::string text = std::string(what) + ' ' + spec;
  nvtxEventAttributes_t event = {};
  event.version = NVTX_VERSION;
  event.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  event.messageType = NVTX_MESSAGE_TYPE_ASCII;
  event.message.ascii = text.c_str();
  nvtxDomainRangePushEx(domain_, &event);
}

NvtxRanges::Range::~Range() {
  if (domain_ != nullptr) nvtxDomainRangePop(domain_);
}

#else

bool nvtx_available() noexcept { return false; }
NvtxRanges::NvtxRanges(bool) {}
NvtxRanges::Range::Range(const NvtxRanges& ranges, std::string_view, const std::string&)
    : domain_(ranges.domain_) {}
NvtxRanges::Range::~Range() = default;

#endif

}  // namespace fourge
