#include "runtime/host/loaded_object.hpp"

#include <dlfcn.h>

#include <fourge/error.hpp>

#include "runtime/host/hooks.hpp"

namespace fourge::host {

LoadedObject::LoadedObject(const std::string& path)
    : handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ == nullptr) {
    const char* const reason = dlerror();
    throw Error(ErrorKind::io, "host execution: cannot load " + path + ": " +
                                   (reason != nullptr ? reason : "unknown reason"));
  }
  const auto entry =
      reinterpret_cast<fourge_host::ModuleEntry*>(dlsym(handle_, "fourge_host_module"));
  module_ = entry != nullptr ? entry(&kernel_hooks()) : nullptr;
  if (module_ == nullptr || module_->abi_version != fourge_host::kAbiVersion) {
    dlclose(handle_);
    throw Error(ErrorKind::io, "host execution: " + path + " is not a batch of kernels");
  }
}

LoadedObject::~LoadedObject() { dlclose(handle_); }

const fourge_host::Function* LoadedObject::find(const std::string& key) const noexcept {
  for (unsigned i = 0; i < module_->count; ++i) {
    if (key == module_->functions[i].key) {
      return &module_->functions[i];
    }
  }
  return nullptr;
}

}  // namespace fourge::host
