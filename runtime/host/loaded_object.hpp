// A compiled batch in this process.
#pragma once

#include <string>

#include "runtime/host/abi.hpp"

namespace fourge::host {

class LoadedObject {
 public:
  // Throws Error(io) with the loader's reason, also for an object of another ABI version.
  explicit LoadedObject(const std::string& path);
  ~LoadedObject();
  LoadedObject(const LoadedObject&) = delete;
  LoadedObject& operator=(const LoadedObject&) = delete;

  // The kernel with this key, or null.
  const fourge_host::Function* find(const std::string& key) const noexcept;

 private:
  void* handle_;
  const fourge_host::Module* module_ = nullptr;
};

}  // namespace fourge::host
