// The context that a rank works in, kept for as long as somebody needs it.
#pragma once

#include <memory>

#include "runtime/driver/driver.hpp"

namespace fourge::comm {

// A device's primary context, or the one that is current when the group is made. A primary context is retained
// until this is gone; one that somebody else created is theirs to keep.
class GroupContext {
 public:
  // device < 0: the current one. Throws Error(unsupported) if there is none, or no such device.
  GroupContext(std::shared_ptr<const Driver> driver, int device);
  ~GroupContext();
  GroupContext(const GroupContext&) = delete;
  GroupContext& operator=(const GroupContext&) = delete;

  CUcontext get() const noexcept { return context_; }
  CUdevice device() const noexcept { return device_; }
  const std::shared_ptr<const Driver>& driver() const noexcept { return driver_; }

 private:
  void retain_if_primary();

  std::shared_ptr<const Driver> driver_;
  CUcontext context_ = nullptr;
  CUdevice device_ = 0;
  bool retained_ = false;
};

}  // namespace fourge::comm
