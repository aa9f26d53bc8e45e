// What the opaque handles of the C API are. Kernels keep their runtime alive, so that handles may be
// freed in any order.
#pragma once

#include <fourge/fourge.h>
#include <fourge/runtime.hpp>

#include <memory>
#include <string>
#include <string_view>

struct fourge_runtime {
  std::shared_ptr<fourge::Runtime> runtime;
};

struct fourge_kernel {
  std::shared_ptr<fourge::Runtime> runtime;
  fourge::Kernel kernel;
  std::string spec;
};

struct fourge_host_kernel {
  std::shared_ptr<fourge::Runtime> runtime;
  fourge::HostKernel kernel;
  std::string spec;
};

struct fourge_artifact {
  std::shared_ptr<const fourge::Artifact> artifact;
  std::string spec;
};

namespace fourge::c_api {

// A spec without a target is for the device of the current context.
KernelSpec parse_for_device(const Runtime& runtime, std::string_view spec);

}  // namespace fourge::c_api
