// The NVRTC that misbehaves on demand (fake_nvrtc.cpp), in this process: options that use it, and its
// fault as a variable of the environment. For tests without other threads while a fault is set.
#pragma once

#include <fourge/options.hpp>

#include <cstdlib>
#include <string>

#include "jit/nvrtc_location.hpp"

namespace fourge::tests {

inline Options with_faulty_nvrtc(Options options) {
  const auto real = jit::locate_nvrtc({options.nvrtc_library, options.cuda_home});
  ::setenv("FOURGE_FAKE_NVRTC_REAL", real.path.c_str(), 1);
  options.nvrtc_library = FOURGE_FAKE_NVRTC;
  return options;
}

class NvrtcFault {
 public:
  explicit NvrtcFault(const std::string& fault) {
    ::setenv("FOURGE_FAKE_NVRTC_FAULT", fault.c_str(), 1);
  }
  ~NvrtcFault() { ::unsetenv("FOURGE_FAKE_NVRTC_FAULT"); }
  NvrtcFault(const NvrtcFault&) = delete;
  NvrtcFault& operator=(const NvrtcFault&) = delete;
};

}  // namespace fourge::tests
