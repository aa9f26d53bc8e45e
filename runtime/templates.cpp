#include "runtime/templates.hpp"

#include <fourge/runtime.hpp>

#include "kernel_templates/embedded.hpp"

#include <vector>

namespace fourge {

std::span<const jit::TemplateFile> template_files() {
  static const auto files = [] {
    std::vector<jit::TemplateFile> list;
    for (const auto& file : kernel_templates::files()) {
      list.push_back({file.name, file.text});
    }
    return list;
  }();
  return files;
}

std::string generate_source(const KernelSpec& spec) {
  return jit::generate(spec, template_files());
}

std::vector<std::string> compile_options(const KernelSpec& spec) {
  return jit::nvrtc_options(spec.target());
}

}  // namespace fourge
