// Where tensors are quantized: on a GPU, or by host execution where there is none.
#pragma once

#include <fourge/runtime.hpp>

#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "examples/quantize_server/server_options.hpp"
#include "examples/quantize_server/tensor.hpp"

namespace quantize_server {

// One worker thread's own: buffers, and a stream on a GPU. Made, used and destroyed by that thread.
class Quantizer {
 public:
  virtual ~Quantizer() = default;
  virtual QuantizedTensor quantize(const Tensor& tensor) = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  // "NVIDIA H200", "host execution".
  virtual std::string name() const = 0;
  // Prepares a kernel for every dtype and layout, and freezes the Runtime: what comes later cannot
  // compile anything, whatever a mistake in this program may ask for.
  virtual void prepare() = 0;
  // After prepare(), by the worker's thread.
  virtual std::unique_ptr<Quantizer> make_quantizer() = 0;
};

// Throws fourge::Error if the device that was chosen is not there. The Runtime must outlive it.
std::unique_ptr<Backend> make_backend(const ServerOptions& options, fourge::Runtime& runtime);
std::unique_ptr<Backend> make_gpu_backend(int ordinal, fourge::Runtime& runtime);
std::unique_ptr<Backend> make_host_backend(fourge::Runtime& runtime);

// Every dtype and layout has a kernel; its place in tables of all.
inline constexpr std::size_t kVariants = std::size(kDtypes) * std::size(kLayouts);
std::size_t variant_index(Dtype dtype, Layout layout) noexcept;

// Prepares the kernels of all variants, in the order of their places. Throws fourge::Error for the first
// that does not compile.
std::vector<fourge::KernelSpec> prepare_variants(fourge::Runtime& runtime, fourge::Target target,
                                                 fourge::Preparation where);

}  // namespace quantize_server
