// fourge build: one cubin, from the cache or compiled, and where it came from.
#include <fourge/runtime.hpp>

#include <fmt/format.h>

#include <memory>

#include "cache/digest.hpp"
#include "tools/command.hpp"
#include "tools/output_file.hpp"
#include "tools/report.hpp"
#include "tools/spec_argument.hpp"

namespace fourge::tools {
namespace {

struct BuildOptions {
  std::string spec;
  std::string target;
  std::string output;
};

ExitCode build(const BuildOptions& options, const CommonOptions& common) {
  const KernelSpec spec = parse_spec_argument(options.spec, options.target);
  std::optional<OutputFile> file;
  if (!options.output.empty()) {
    file.emplace(options.output);
  }
  Runtime runtime(library_options(common));
  const auto artifact = runtime.build(spec);
  if (file) {
    file->write(artifact->cubin);
    file->commit();
  }
  const Stats stats = runtime.stats();
  const std::string digest = cache::sha256(std::span<const std::byte>(artifact->cubin)).hex();
  if (common.json) {
    print_json({{"spec", spec.text()},
                {"origin", to_string(artifact->origin)},
                {"key", artifact->key},
                {"entry", artifact->entry_name},
                {"cubin_bytes", artifact->cubin.size()},
                {"cubin_sha256", digest},
                {"ms", milliseconds(artifact->took)},
                {"compiles", stats.compiles},
                {"waits", stats.waits},
                {"heals", stats.heals},
                {"publish_failures", stats.publish_failures},
                {"output", file ? Json(options.output) : Json(nullptr)}});
  } else {
    print_text(fmt::format("{}\n  {:<8} {}, {}\n  {:<8} {}\n  {:<8} {}, sha256 {}\n", spec.text(),
                           "origin", to_string(artifact->origin), duration_text(artifact->took),
                           "key", artifact->key, "cubin", bytes_text(artifact->cubin.size()),
                           digest));
  }
  return ExitCode::ok;
}

}  // namespace

void add_build(CLI::App& app, CommandLine& line) {
  auto options = std::make_shared<BuildOptions>();
  CLI::App& command =
      add_command(app, line, "build",
                  "Build one kernel, from the cache or by compiling, and tell where it came from.",
                  "Needs no GPU. Example: fourge build 'nvfp4_quantize[layout=8x4]@sm_90a'");
  command.add_option("spec", options->spec, "Spec of the kernel")->required()->type_name("SPEC");
  command.add_option("--target", options->target, "Target, if the spec names none")
      ->type_name("TARGET");
  command.add_option("--output", options->output, "Write the cubin here too")->type_name("FILE");
  command.callback([&line, options] {
    line.action = [&line, options] { return build(*options, line.common); };
  });
}

}  // namespace fourge::tools
