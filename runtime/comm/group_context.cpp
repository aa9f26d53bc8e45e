#include "runtime/comm/group_context.hpp"

#include <fmt/format.h>

#include <fourge/error.hpp>
#include <utility>

#include "runtime/driver/kernel_state.hpp"

namespace fourge::comm {

GroupContext::GroupContext(std::shared_ptr<const Driver> driver, int device)
    : driver_(std::move(driver)) {
  if (device < 0) {
    device_ = detail::current_device(*driver_, "comm::Group");
    driver_->check(driver_->cuCtxGetCurrent(&context_), "cuCtxGetCurrent", "comm::Group");
    retain_if_primary();
    return;
  }
  int count = 0;
  driver_->check(driver_->cuDeviceGetCount(&count), "cuDeviceGetCount", "comm::Group");
  if (device >= count) {
    throw Error(ErrorKind::unsupported,
                fmt::format("device {} was asked for; this machine has {}", device, count));
  }
  driver_->check(driver_->cuDeviceGet(&device_, device), "cuDeviceGet", "comm::Group");
  driver_->check(driver_->cuDevicePrimaryCtxRetain(&context_, device_), "cuDevicePrimaryCtxRetain",
                 "comm::Group");
  retained_ = true;
}

void GroupContext::retain_if_primary() {
  unsigned flags = 0;
  int active = 0;
  driver_->check(driver_->cuDevicePrimaryCtxGetState(device_, &flags, &active),
                 "cuDevicePrimaryCtxGetState", "comm::Group");
  if (active == 0) return;  // retaining it would create it
  CUcontext primary = nullptr;
  driver_->check(driver_->cuDevicePrimaryCtxRetain(&primary, device_), "cuDevicePrimaryCtxRetain",
                 "comm::Group");
  retained_ = primary == context_;
  if (!retained_) driver_->cuDevicePrimaryCtxRelease(device_);
}

GroupContext::~GroupContext() {
  if (retained_) driver_->cuDevicePrimaryCtxRelease(device_);
}

}  // namespace fourge::comm
