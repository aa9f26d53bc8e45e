// Quantization on a GPU: a stream and buffers for each worker, kernels shared by all.
#include <fourge/device.hpp>
#include <fourge/nvfp4_quantize.hpp>

#include <memory>
#include <optional>
#include <vector>

#include "examples/quantize_server/backend.hpp"

namespace quantize_server {
namespace {

// Device memory that grows and is used again.
class GrowingBuffer {
 public:
  explicit GrowingBuffer(const fourge::DeviceContext& context) : context_(context) {}

  fourge::DeviceBuffer& reserve(std::size_t bytes) {
    if (!buffer_ || buffer_->size() < bytes) {
      buffer_.reset();
      buffer_.emplace(context_, bytes);
    }
    return *buffer_;
  }

 private:
  const fourge::DeviceContext& context_;
  std::optional<fourge::DeviceBuffer> buffer_;
};

class GpuQuantizer : public Quantizer {
 public:
  GpuQuantizer(const fourge::DeviceContext& context, const std::vector<fourge::Kernel>& kernels)
      : current_(context),
        stream_(context),
        kernels_(kernels),
        x_(context),
        codes_(context),
        scales_(context) {}

  QuantizedTensor quantize(const Tensor& tensor) override {
    QuantizedTensor result;
    result.codes.resize(tensor.bytes() / 4);
    result.scales.resize(
        fourge::nvfp4_scale_bytes(to_string(tensor.layout), tensor.rows, tensor.cols));
    fourge::DeviceBuffer& x = x_.reserve(tensor.bytes());
    fourge::DeviceBuffer& codes = codes_.reserve(result.codes.size());
    fourge::DeviceBuffer& scales = scales_.reserve(result.scales.size());
    fourge::Nvfp4QuantizeArgs args;
    args.x = x.data();
    args.codes = codes.data();
    args.scales = scales.data();
    args.global_scale_value = tensor.global_scale;
    args.rows = tensor.rows;
    args.cols = tensor.cols;
    x.upload(tensor.data(), tensor.bytes(), stream_.get());
    kernels_[variant_index(tensor.dtype, tensor.layout)].launch(args, stream_.get());
    codes.download(result.codes.data(), result.codes.size(), stream_.get());
    scales.download(result.scales.data(), result.scales.size(), stream_.get());
    stream_.synchronize();
    return result;
  }

 private:
  fourge::CurrentContext current_;  // of the worker's thread
  fourge::Stream stream_;
  const std::vector<fourge::Kernel>& kernels_;
  GrowingBuffer x_;
  GrowingBuffer codes_;
  GrowingBuffer scales_;
};

class GpuBackend : public Backend {
 public:
  // The context is current for the thread that makes the backend, and is undone by it.
  GpuBackend(int ordinal, fourge::Runtime& runtime) : context_(ordinal), runtime_(runtime) {
    name_ = fourge::list_devices().at(static_cast<std::size_t>(ordinal)).name;
  }

  std::string name() const override { return name_; }

  void prepare() override {
    const fourge::CurrentContext current(context_);
    for (const fourge::KernelSpec& spec :
         prepare_variants(runtime_, runtime_.device_target(), fourge::Preparation::device)) {
      kernels_.push_back(runtime_.prepare(spec));
    }
    runtime_.freeze(fourge::FreezePolicy::refuse);
  }

  std::unique_ptr<Quantizer> make_quantizer() override {
    return std::make_unique<GpuQuantizer>(context_, kernels_);
  }

 private:
  fourge::DeviceContext context_;
  fourge::Runtime& runtime_;
  std::string name_;
  std::vector<fourge::Kernel> kernels_;
};

}  // namespace

std::unique_ptr<Backend> make_gpu_backend(int ordinal, fourge::Runtime& runtime) {
  return std::make_unique<GpuBackend>(ordinal, runtime);
}

}  // namespace quantize_server
