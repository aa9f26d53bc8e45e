// How large the launches of ranks may be that share a device.
#include <fourge/comm.hpp>

namespace fourge::comm {

int launch_bound(int multiprocessors, int ranks_on_device) noexcept {
  constexpr int kLaunches = 2;  // of a rank at once
  if (ranks_on_device <= 1) return multiprocessors;
  return multiprocessors / (kLaunches * kAllreduceMostCtas * ranks_on_device);
}

}  // namespace fourge::comm
