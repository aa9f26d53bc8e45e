// fourge inspect: what a spec turns into, at each step of the way.
#include <fourge/runtime.hpp>

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "jit/cubin.hpp"
#include "tools/command.hpp"
#include "tools/report.hpp"
#include "tools/spec_argument.hpp"
#include "tools/toolkit.hpp"

namespace fourge::tools {
namespace {

struct InspectOptions {
  std::string spec;
  std::string target;
  bool source = false;
  bool ptx = false;
  bool sass = false;
  bool resources = false;
};

ExitCode show_text(const KernelSpec& spec, const char* what, const std::string& text, bool json) {
  if (json) {
    print_json({{"spec", spec.text()}, {"options", compile_options(spec)}, {what, text}});
  } else {
    print_text(text);
    if (!text.empty() && text.back() != '\n') {
      print_text("\n");
    }
  }
  return ExitCode::ok;
}

// Of all numbers in the file, in the order of the table for people.
Json resources_json(const jit::CubinKernel& kernel) {
  Json params = Json::array();
  for (const jit::CubinParam& param : kernel.params) {
    params.push_back({{"index", param.index}, {"offset", param.offset}, {"bytes", param.size}});
  }
  return {{"entry", kernel.name},
          {"registers", kernel.registers},
          {"frame_bytes", kernel.frame_bytes},
          {"stack_bytes", kernel.stack_bytes},
          {"local_loads", kernel.local_loads},
          {"loads_before_wait", kernel.loads_before_wait},
          {"local_stores", kernel.local_stores},
          {"static_shared_bytes", kernel.static_shared_bytes},
          {"reserved_shared_bytes", kernel.reserved_shared_bytes},
          {"constant_bytes", kernel.constant_bytes},
          {"code_bytes", kernel.code_bytes},
          {"params", params}};
}

std::string resources_text(const jit::CubinKernel& kernel) {
  std::string text;
  const auto line = [&text](const char* name, const std::string& value) {
    text += fmt::format("  {:<15} {}\n", name, value);
  };
  line("entry", kernel.name);
  line("registers", fmt::format("{} a thread", kernel.registers));
  line(
      "local memory",
      fmt::format("{} bytes of frame, {} of stack; {} loads (LDL), {} stores (STL)",
                  kernel.frame_bytes, kernel.stack_bytes, kernel.local_loads, kernel.local_stores));
  line("shared memory", fmt::format("{} bytes static, {} reserved by the target",
                                    kernel.static_shared_bytes, kernel.reserved_shared_bytes));
  line("constant bank", fmt::format("{} bytes", kernel.constant_bytes));
  line("code", fmt::format("{} bytes", kernel.code_bytes));
  std::string params;
  for (const jit::CubinParam& param : kernel.params) {
    params += fmt::format("{}{} at {}", params.empty() ? "" : ", ", param.size, param.offset);
  }
  line("parameters", fmt::format("{} (bytes at offset: {})", kernel.params.size(), params));
  return text;
}

ExitCode show_resources(const Artifact& artifact, bool json) {
  const jit::CubinInfo info = jit::parse_cubin(artifact.cubin);
  const jit::CubinKernel* kernel = info.find(artifact.entry_name);
  if (kernel == nullptr) {
    throw Error(ErrorKind::internal, fmt::format("the cubin of {} has no entry {}",
                                                 artifact.spec.text(), artifact.entry_name));
  }
  if (json) {
    Json document{{"spec", artifact.spec.text()},
                  {"target", info.target.text()},
                  {"cubin_bytes", artifact.cubin.size()}};
    document["resources"] = resources_json(*kernel);
    print_json(document);
  } else {
    print_text(fmt::format("{}\n  {:<15} {}, {}\n{}", artifact.spec.text(), "cubin",
                           info.target.text(), bytes_text(artifact.cubin.size()),
                           resources_text(*kernel)));
  }
  return ExitCode::ok;
}

ExitCode inspect(const InspectOptions& options, const CommonOptions& common) {
  const KernelSpec spec = parse_spec_argument(options.spec, options.target);
  if (options.source) {
    return show_text(spec, "source", generate_source(spec), common.json);
  }
  if (options.ptx) {
    return show_text(spec, "ptx", compile_to_ptx(spec, library_options(common)), common.json);
  }
  Runtime runtime(library_options(common));
  const auto artifact = runtime.build(spec);
  if (options.sass) {
    return show_text(spec, "sass", disassemble(artifact->cubin, runtime.options()), common.json);
  }
  return show_resources(*artifact, common.json);
}

}  // namespace

void add_inspect(CLI::App& app, CommandLine& line) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App& command =
      add_command(app, line, "inspect",
                  "Show what a spec turns into: source, PTX, SASS, resources. Needs no GPU.",
                  "Example: fourge inspect 'nvfp4_quantize[math=fast]@sm_90a' --resources");
  command.add_option("spec", options->spec, "Spec of the kernel")->required()->type_name("SPEC");
  command.add_option("--target", options->target, "Target, if the spec names none")
      ->type_name("TARGET");
  auto* source =
      command.add_flag("--source", options->source, "The source, exactly as NVRTC gets it");
  auto* ptx = command.add_flag("--ptx", options->ptx, "PTX for the target's virtual architecture");
  auto* sass =
      command.add_flag("--sass", options->sass,
                       "Machine code; needs nvdisasm or cuobjdump in PATH or CUDA_HOME/bin");
  auto* resources =
      command.add_flag("--resources", options->resources,
                       "Registers, stack, spills, shared memory, parameters and code size, read "
                       "from the cubin (this is the default)");
  CLI::Option* const views[] = {source, ptx, sass, resources};
  for (CLI::Option* one : views) {
    for (CLI::Option* other : views) {
      if (one != other) {
        one->excludes(other);
      }
    }
  }
  command.callback([&line, options] {
    line.action = [&line, options] { return inspect(*options, line.common); };
  });
}

}  // namespace fourge::tools
