#include "examples/quantize_server/backend.hpp"

#include <fourge/device.hpp>
#include <fourge/nvfp4_quantize.hpp>

namespace quantize_server {

std::size_t variant_index(Dtype dtype, Layout layout) noexcept {
  return static_cast<std::size_t>(dtype) * std::size(kLayouts) + static_cast<std::size_t>(layout);
}

std::vector<fourge::KernelSpec> prepare_variants(fourge::Runtime& runtime, fourge::Target target,
                                                 fourge::Preparation where) {
  fourge::Manifest manifest;
  std::vector<fourge::KernelSpec> specs;
  for (const Dtype dtype : kDtypes) {
    for (const Layout layout : kLayouts) {
      specs.emplace_back(fourge::nvfp4_quantize_op(), target);
      specs.back().set("in", to_string(dtype)).set("layout", to_string(layout));
      manifest.add(specs.back());
    }
  }
  fourge::PrepareAllOptions options;
  options.where = where;
  const fourge::PrepareReport report = runtime.prepare_all(manifest, options);
  if (!report.ok()) throw fourge::Error(report.failures[0].kind, report.failures[0].message);
  return specs;
}

std::unique_ptr<Backend> make_backend(const ServerOptions& options, fourge::Runtime& runtime) {
  const bool host = options.device == DeviceChoice::host ||
                    (options.device == DeviceChoice::automatic && fourge::list_devices().empty());
  return host ? make_host_backend(runtime) : make_gpu_backend(options.ordinal, runtime);
}

}  // namespace quantize_server
