// Quantization by host execution: the same kernels, run on the CPU. For trying things out.
#include <fourge/nvfp4_quantize.hpp>

#include <cstring>
#include <vector>

#include "examples/quantize_server/backend.hpp"

namespace quantize_server {
namespace {

// Kernels want their buffers aligned.
class AlignedBytes {
 public:
  std::uint8_t* reserve(std::size_t bytes) {
    lines_.resize(bytes / sizeof(Line) + 1);
    return lines_.front().bytes;
  }

 private:
  struct alignas(64) Line {
    std::uint8_t bytes[64];
  };
  std::vector<Line> lines_;
};

class HostQuantizer : public Quantizer {
 public:
  explicit HostQuantizer(const std::vector<fourge::HostKernel>& kernels) : kernels_(kernels) {}

  QuantizedTensor quantize(const Tensor& tensor) override {
    const std::size_t code_bytes = tensor.bytes() / 4;
    const std::size_t scale_bytes =
        fourge::nvfp4_scale_bytes(to_string(tensor.layout), tensor.rows, tensor.cols);
    std::uint8_t* const x = x_.reserve(tensor.bytes());
    std::memcpy(x, tensor.data(), tensor.bytes());
    fourge::Nvfp4QuantizeArgs args;
    args.x = x;
    args.codes = codes_.reserve(code_bytes);
    args.scales = scales_.reserve(scale_bytes);
    args.global_scale_value = tensor.global_scale;
    args.rows = tensor.rows;
    args.cols = tensor.cols;
    kernels_[variant_index(tensor.dtype, tensor.layout)].launch(args);
    QuantizedTensor result;
    result.codes.assign(reinterpret_cast<const char*>(args.codes), code_bytes);
    result.scales.assign(reinterpret_cast<const char*>(args.scales), scale_bytes);
    return result;
  }

 private:
  const std::vector<fourge::HostKernel>& kernels_;
  AlignedBytes x_;
  AlignedBytes codes_;
  AlignedBytes scales_;
};

class HostBackend : public Backend {
 public:
  explicit HostBackend(fourge::Runtime& runtime) : runtime_(runtime) {}

  std::string name() const override { return "host execution"; }

  void prepare() override {
    // Without a device any target will do; all have the same bits.
    kernels_ = runtime_.prepare_host(
        prepare_variants(runtime_, fourge::Target::parse("sm_90a"), fourge::Preparation::host));
    runtime_.freeze(fourge::FreezePolicy::refuse);
  }

  std::unique_ptr<Quantizer> make_quantizer() override {
    return std::make_unique<HostQuantizer>(kernels_);
  }

 private:
  fourge::Runtime& runtime_;
  std::vector<fourge::HostKernel> kernels_;
};

}  // namespace

std::unique_ptr<Backend> make_host_backend(fourge::Runtime& runtime) {
  return std::make_unique<HostBackend>(runtime);
}

}  // namespace quantize_server
