#include "runtime/templates.hpp"

#include <fourge/error.hpp>
#include <fourge/runtime.hpp>

#include "kernel_templates/embedded.hpp"

#include <fmt/format.h>
#include <algorithm>
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
  const auto files = template_files();
  const std::string_view name = spec.op().template_file;
  if (std::none_of(files.begin(), files.end(),
                   [name](const jit::TemplateFile& file) { return file.name == name; })) {
    throw Error(ErrorKind::invalid_spec,
                fmt::format("{}: the operation is not built in, and the OpRegistry asked does not "
                            "hold it; add it to Options::ops before the Runtime is made",
                            spec.text()));
  }
  return jit::generate(spec, template_files());
}

std::vector<std::string> compile_options(const KernelSpec& spec) {
  return jit::nvrtc_options(spec.target());
}

}  // namespace fourge
