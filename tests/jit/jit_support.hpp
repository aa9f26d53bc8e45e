// What the tests of jit share: the embedded templates and the NVRTC of this machine.
#pragma once

#include "jit/nvrtc.hpp"
#include "jit/nvrtc_location.hpp"
#include "jit/source_generator.hpp"
#include "kernel_templates/embedded.hpp"

#include <cstdlib>
#include <span>
#include <string>
#include <vector>

namespace fourge::tests {

inline std::span<const jit::TemplateFile> templates() {
  static const auto files = [] {
    std::vector<jit::TemplateFile> list;
    for (const auto& file : kernel_templates::files()) {
      list.push_back({file.name, file.text});
    }
    return list;
  }();
  return files;
}

inline jit::NvrtcSearch nvrtc_search() {
  const auto value = [](const char* name) {
    const char* text = std::getenv(name);
    return std::string(text == nullptr ? "" : text);
  };
  return {value("FOURGE_NVRTC"), value("CUDA_HOME")};
}

// The tests need NVRTC: not finding it is a failure and not a reason to skip.
inline const jit::Nvrtc& nvrtc() {
  static const jit::Nvrtc instance(jit::locate_nvrtc(nvrtc_search()).path);
  return instance;
}

// To a cubin and the PTX that it was made of.
inline jit::CompileOutput compile(const KernelSpec& spec) {
  return nvrtc().compile(jit::generate(spec, templates()), spec.entry_name() + ".cu",
                         jit::nvrtc_options(spec.target()), {}, true);
}

}  // namespace fourge::tests
