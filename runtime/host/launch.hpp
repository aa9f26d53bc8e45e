// One launch on the CPU, as the parts of host execution hand it around.
#pragma once

#include <fourge/op_definition.hpp>
#include <string>

#include "runtime/host/abi.hpp"
#include "runtime/host/global_memory.hpp"

namespace fourge::host {

// A kernel in a loaded batch. Valid as long as the HostExecutor it came from.
struct HostFunction {
  std::string label;  // the spec's text, or the entry's name: for messages
  std::string entry_name;
  const fourge_host::Function* function = nullptr;
};

class SystemMemory;

struct Launch {
  const HostFunction& kernel;
  const LaunchShape& shape;
  const GlobalMemory& memory;
  const void* const* arguments;    // one pointer for each parameter
  SystemMemory* system = nullptr;  // of the device, if it is one of several

  unsigned threads() const { return shape.block[0] * shape.block[1] * shape.block[2]; }
};

}  // namespace fourge::host
