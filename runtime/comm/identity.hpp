// Which host and which process this is, so that ranks can tell whether they share one. Read from /proc;
// what is not there is empty or 0.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace fourge::comm {

// The same for all containers of one running system, another after a reboot. Where the system has no
// number for that, its name.
std::string host_identity();

// A number alone could be given twice: to processes of two containers.
struct ProcessIdentity {
  std::uint64_t number = 0;
  std::uint64_t name_space = 0;  // of numbers
  std::uint64_t started = 0;     // in clock ticks since boot
  friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};
ProcessIdentity process_identity();

}  // namespace fourge::comm
