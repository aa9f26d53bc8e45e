// A whole Runtime on the make-believe driver (fake_cuda.hpp): its options, and a call for its kernels.
#pragma once

#include <cstdint>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/options.hpp>

#include "tests/gpu/driver_probe.hpp"
#include "tests/runtime/scratch.hpp"

namespace fourge::tests {

inline FakeCuda& reset_for_real_kernels() {
  FakeCuda& fake = reset_fake();
  fake.missing = "cuKernelGetParamInfo";  // it knows the probe's parameters only
  return fake;
}

// One cache for the whole program: a kernel is compiled once.
inline Options fake_options(const Scratch& scratch) {
  static const Scratch shared;
  Options options = scratch.options();
  options.cache_directory = shared.cache();
  options.driver_library = FOURGE_FAKE_CUDA;
  return options;
}

inline Nvfp4QuantizeArgs some_args() {
  Nvfp4QuantizeArgs args;
  args.x = reinterpret_cast<const void*>(std::uintptr_t{1} << 20U);
  args.codes = reinterpret_cast<std::uint8_t*>(std::uintptr_t{2} << 20U);
  args.scales = reinterpret_cast<std::uint8_t*>(std::uintptr_t{3} << 20U);
  args.global_scale_value = 1;
  args.rows = 128;
  args.cols = 256;
  return args;
}

}  // namespace fourge::tests
