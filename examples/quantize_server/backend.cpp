#include "examples/quantize_server/backend.hpp"

#include <fourge/device.hpp>

namespace quantize_server {

std::string spec_text(Dtype dtype, Layout layout) {
  return std::string("nvfp4_quantize[in=") + to_string(dtype) + ",layout=" + to_string(layout) +
         "]";
}

std::size_t variant_index(Dtype dtype, Layout layout) noexcept {
  return static_cast<std::size_t>(dtype) * std::size(kLayouts) + static_cast<std::size_t>(layout);
}

std::unique_ptr<Backend> make_backend(const ServerOptions& options, fourge::Runtime& runtime) {
  const bool host = options.device == DeviceChoice::host ||
                    (options.device == DeviceChoice::automatic && fourge::list_devices().empty());
  return host ? make_host_backend(runtime) : make_gpu_backend(options.ordinal, runtime);
}

}  // namespace quantize_server
