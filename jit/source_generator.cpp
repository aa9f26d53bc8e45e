#include "jit/source_generator.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>
#include <algorithm>
#include <iterator>
#include <set>

namespace fourge::jit {
namespace {

constexpr std::string_view kInclude = "#include \"";

// A template file and the files it includes, each once and before whoever includes it.
class Paster {
 public:
  Paster(std::span<const TemplateFile> files, LineMarks marks, std::string_view name)
      : files_(files), marks_(marks) {
    find(name);
  }

  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const TemplateFile* file : order_) sum += file->text.size() + 2 * file->name.size() + 64;
    return sum;
  }

  void paste(std::string& output) const {
    for (const TemplateFile* file : order_) {
      fmt::format_to(std::back_inserter(output), "// ==== {}\n{}", file->name, mark(file->name));
      paste_lines(file->text, output);
      output += '\n';
    }
  }

  // What a compiler says about the lines that follow, it says about this file from its first line on.
  std::string mark(std::string_view name) const {
    return marks_ == LineMarks::yes ? fmt::format("#line 1 \"{}\"\n", name) : std::string();
  }

 private:
  void find(std::string_view name) {
    const auto file = std::find_if(files_.begin(), files_.end(),
                                   [name](const TemplateFile& f) { return f.name == name; });
    if (file == files_.end()) {
      throw Error(ErrorKind::internal, fmt::format("no kernel template \"{}\" is embedded", name));
    }
    if (!done_.insert(&*file).second) return;
    each_directive(file->text, [this](std::size_t, std::string_view line) {
      if (!line.starts_with(kInclude)) return;
      const auto quoted = line.substr(kInclude.size());
      find(quoted.substr(0, quoted.find('"')));
    });
    order_.push_back(&*file);
  }

  // All but the lines that are replaced by what they include, or mean nothing in one unit.
  void paste_lines(std::string_view text, std::string& output) const {
    std::size_t from = 0;
    each_directive(text, [&](std::size_t at, std::string_view line) {
      if (!line.starts_with(kInclude) && !line.starts_with("#pragma once")) return;
      output += text.substr(from, at - from);
      if (marks_ == LineMarks::yes) output += '\n';
      from = at + line.size();
    });
    output += text.substr(from);
  }

  // Lines that begin with '#', with their ends, and where they begin.
  template <class Each>
  static void each_directive(std::string_view text, const Each& each) {
    for (std::size_t at = text.find('#'); at < text.size(); at = text.find('#', at + 1)) {
      if (at != 0 && text[at - 1] != '\n') continue;
      const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
      each(at, text.substr(at, end - at));
    }
  }

  std::span<const TemplateFile> files_;
  LineMarks marks_;
  std::set<const TemplateFile*> done_;
  std::vector<const TemplateFile*> order_;
};

std::string config_struct(const KernelSpec& spec) {
  std::string text = "namespace fourge_generated {\nstruct Config {\n";
  const auto constant = [&text](std::string_view name, std::string_view value) {
    text += fmt::format("  __device__ static constexpr auto {}() {{ return {}; }}\n", name, value);
  };
  for (std::size_t i = 0; i < spec.op().axes.size(); ++i) {
    const Axis& axis = spec.op().axes[i];
    constant(axis.constant, axis.values[spec.index(i)].expression);
  }
  for (const TargetFlag& flag : target_flags(spec.target())) {
    constant(flag.name, flag.value ? "true" : "false");
  }
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

std::vector<TargetFlag> target_flags(const Target& target) {
  const TargetFeatures& has = target.features();
  return {{"kCvtE2m1", has.cvt_e2m1},   {"kCvtE4m3", has.cvt_e4m3},
          {"kCvtUe8m0", has.cvt_ue8m0}, {"kReduxF32", has.redux_f32},
          {"kLoad256", has.load_256},   {"kMax3F32", has.max3_f32},
          {"kMulF32x2", has.mul_f32x2}, {"kGridDependency", has.grid_dependency},
          {"kBulkCopy", has.bulk_copy}};
}

std::string generate(const KernelSpec& spec, std::span<const TemplateFile> files, LineMarks marks) {
  spec.check();
  const Paster paster(files, marks, spec.op().template_file);
  const std::string config = config_struct(spec);
  const std::string entry = entry_function(spec);
  const std::string first = fmt::format("// {}\n", spec.text());
  const std::string mark = paster.mark("generated");
  std::string source;
  source.reserve(first.size() + paster.bytes() + mark.size() + config.size() + entry.size());
  source += first;
  paster.paste(source);
  source += mark;
  source += config;
  source += entry;
  return source;
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
