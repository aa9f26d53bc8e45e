// What the tests on a device share: the device, one Runtime, and a quantization call with guarded
// buffers.
#pragma once

#include <cstdint>
#include <fourge/device.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/runtime.hpp>
#include <string>
#include <vector>

#include "reference/compare.hpp"
#include "reference/nvfp4.hpp"

namespace fourge::tests {

// The first device with its primary context current, for the whole run. Made by main().
class Gpu {
 public:
  Gpu();
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;
  static Gpu& get();

  const DeviceContext& context() const noexcept { return context_; }
  const DeviceInfo& info() const noexcept { return info_; }
  Target target() const { return *info_.target; }
  Runtime& runtime() noexcept { return runtime_; }
  // "layout=128x4,tpc=2" for this device's target, prepared.
  Kernel prepare(const std::string& axes);

 private:
  DeviceInfo info_;
  DeviceContext context_;
  Runtime runtime_;
};

// The reference's problem for a spec.
reference::Nvfp4Problem problem_for(const KernelSpec& spec, std::span<const std::uint16_t> x,
                                    std::int64_t rows, std::int64_t cols, float global_scale);

// One call's buffers on a device. Outputs are poisoned and have guard bands before and behind; so
// has the input.
class QuantizeCall {
 public:
  QuantizeCall(const DeviceContext& context, const reference::Nvfp4Problem& problem,
               bool device_scale = false);

  // Poisons the outputs and uploads the input. The problem's x must stay until the stream is done.
  void prepare(CUstream_st* stream);
  const Nvfp4QuantizeArgs& args() const noexcept { return args_; }
  // Waits for the stream and downloads. Throws std::runtime_error if a guard or the input was
  // written.
  reference::Nvfp4Output finish(const Stream& stream) const;

 private:
  std::vector<std::uint8_t> download_guarded(const DeviceBuffer& buffer, std::size_t bytes,
                                             const Stream& stream, const char* name) const;

  reference::Nvfp4Problem problem_;
  std::size_t scale_bytes_;
  DeviceBuffer x_;
  DeviceBuffer codes_;
  DeviceBuffer scales_;
  DeviceBuffer scale_;
  Nvfp4QuantizeArgs args_;
};

// prepare, launch, finish on a stream of its own.
reference::Nvfp4Output quantize_on(const DeviceContext& context, const Kernel& kernel,
                                   const reference::Nvfp4Problem& problem,
                                   bool device_scale = false, const LaunchOptions& options = {});

bool same(const reference::Nvfp4Output& a, const reference::Nvfp4Output& b);

// Threads for the reference.
unsigned reference_threads();

}  // namespace fourge::tests
