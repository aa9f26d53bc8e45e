#include "jit/source_generator.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>
#include <algorithm>
#include <set>

namespace fourge::jit {
namespace {

constexpr std::string_view kInclude = "#include \"";

// Pastes a template file, and before it the files it includes, each once.
class Paster {
 public:
  Paster(std::span<const TemplateFile> files, LineMarks marks) : files_(files), marks_(marks) {}

  void paste(std::string_view name) {
    if (!done_.insert(std::string(name)).second) {
      return;
    }
    std::string body;
    std::string_view rest = text_of(name);
    while (!rest.empty()) {
      const auto end = std::min(rest.find('\n'), rest.size() - 1);
      const auto line = rest.substr(0, end + 1);
      rest.remove_prefix(end + 1);
      if (line.starts_with(kInclude)) {
        const auto quoted = line.substr(kInclude.size());
        paste(quoted.substr(0, quoted.find('"')));
      } else if (!line.starts_with("#pragma once")) {
        body += line;
        continue;
      }
      body += marks_ == LineMarks::yes ? "\n" : "";
    }
    output_ += fmt::format("// ==== {}\n{}{}\n", name, mark(name), body);
  }

  // What a compiler says about the lines that follow, it says about this file from its first line on.
  std::string mark(std::string_view name) const {
    return marks_ == LineMarks::yes ? fmt::format("#line 1 \"{}\"\n", name) : std::string();
  }

  std::string take() { return std::move(output_); }

 private:
  std::string_view text_of(std::string_view name) const {
    const auto file = std::find_if(files_.begin(), files_.end(),
                                   [name](const TemplateFile& f) { return f.name == name; });
    if (file == files_.end()) {
      throw Error(ErrorKind::internal, fmt::format("no kernel template \"{}\" is embedded", name));
    }
    return file->text;
  }

  std::span<const TemplateFile> files_;
  LineMarks marks_;
  std::set<std::string> done_;
  std::string output_;
};

std::string config_struct(const KernelSpec& spec) {
  const TargetFeatures& has = spec.target().features();
  std::string text = "namespace fourge_generated {\nstruct Config {\n";
  const auto constant = [&text](std::string_view name, std::string_view value) {
    text += fmt::format("  static constexpr auto {} = {};\n", name, value);
  };
  const auto flag = [&constant](std::string_view name, bool value) {
    constant(name, value ? "true" : "false");
  };
  for (std::size_t i = 0; i < spec.op().axes.size(); ++i) {
    const Axis& axis = spec.op().axes[i];
    constant(axis.constant, axis.values[spec.index(i)].expression);
  }
  flag("kCvtE2m1", has.cvt_e2m1);
  flag("kCvtE4m3", has.cvt_e4m3);
  flag("kCvtUe8m0", has.cvt_ue8m0);
  flag("kReduxF32", has.redux_f32);
  flag("kLoad256", has.load_256);
  flag("kMax3F32", has.max3_f32);
  flag("kMulF32x2", has.mul_f32x2);
  flag("kGridDependency", has.grid_dependency);
  flag("kBulkCopy", has.bulk_copy);
  return text + "};\n}  // namespace fourge_generated\n\n";
}

std::string entry_function(const KernelSpec& spec) {
  std::string parameters;
  std::string arguments;
  for (const Param& param : spec.op().params) {
    const char* comma = parameters.empty() ? "" : ", ";
    parameters += fmt::format("{}{} {}", comma, param.type, param.name);
    arguments += fmt::format("{}{}", comma, param.name);
  }
  std::string bounds = fmt::format("{}", spec.op().block_threads(spec));
  if (const int ctas = spec.op().min_ctas == nullptr ? 0 : spec.op().min_ctas(spec); ctas > 0) {
    bounds += fmt::format(", {}", ctas);
  }
  const bool qualified = spec.op().entry_function.find("::") != std::string_view::npos;
  return fmt::format(
      "extern \"C\" __global__ void __launch_bounds__({}) {}({}) {{\n"
      "  {}{}<fourge_generated::Config>({});\n}}\n",
      bounds, spec.entry_name(), parameters,
      qualified ? "" : "fourge_device::", spec.op().entry_function, arguments);
}

}  // namespace

std::string generate(const KernelSpec& spec, std::span<const TemplateFile> files, LineMarks marks) {
  spec.check();
  Paster paster(files, marks);
  paster.paste(spec.op().template_file);
  return fmt::format("// {}\n", spec.text()) + paster.take() + paster.mark("generated") +
         config_struct(spec) + entry_function(spec);
}

std::vector<std::string> nvrtc_options(const Target& target) {
  return {"--gpu-architecture=" + target.text(),
          "--std=c++17",
          "--ftz=true",
          "--fmad=false",
          "--prec-div=true",
          "--prec-sqrt=true",
          "--frandom-seed=fourge",
          "--no-cache",
          "--minimal"};
}

}  // namespace fourge::jit
