#include "tools/prewarm_specs.hpp"

#include <fourge/error.hpp>
#include <fourge/manifest.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "cache/history_log.hpp"
#include "tools/spec_argument.hpp"

namespace fourge::tools {
namespace {

void add(const KernelSpec& spec, std::vector<KernelSpec>& specs) {
  if (std::find(specs.begin(), specs.end(), spec) == specs.end()) {
    specs.push_back(spec);
  }
}

PrewarmSpecs all_variants(const PrewarmRequest& request) {
  PrewarmSpecs found;
  for (const OpVariants& variants :
       select_variants(parse_ops(request.ops), parse_targets(request.targets), request.filter)) {
    found.specs.insert(found.specs.end(), variants.specs.begin(), variants.specs.end());
  }
  return found;
}

// As Runtime::prepare_all() prepares it.
PrewarmSpecs of_manifest(const PrewarmRequest& request) {
  const Manifest manifest = Manifest::load(request.manifest);
  std::vector<Target> targets;
  if (!request.targets.empty()) {
    targets = parse_targets(request.targets);
  } else if (manifest.needs_target()) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{} has specs without a target; give --target", request.manifest));
  }
  PrewarmSpecs found;
  std::vector<std::string> others;
  for (const ManifestKernel& kernel : manifest.kernels(targets)) {
    const Target target = kernel.spec.target();
    if (!targets.empty() && std::find(targets.begin(), targets.end(), target) == targets.end()) {
      others.push_back(kernel.spec.text());
      continue;
    }
    add(kernel.spec, found.specs);
    if (kernel.fallback) {
      add(*kernel.fallback, found.specs);
    }
  }
  if (found.specs.empty() && !others.empty()) {
    throw Error(
        ErrorKind::invalid_argument,
        fmt::format("{} names nothing for {}; it names {}{}", request.manifest, request.targets,
                    others.front(),
                    others.size() == 1 ? "" : fmt::format(" and {} more", others.size() - 1)));
  }
  return found;
}

PrewarmSpecs of_history(const PrewarmRequest& request, const Options& options) {
  cache::TrustPolicy trust;
  if (!options.trusted_group.empty()) {
    trust.group = cache::find_group(options.trusted_group);
  }
  const std::string& root = options.cache_directory;
  const auto contents = cache::HistoryLog(root, cache::posix_file_system(), trust).read();
  if (!contents.note.empty()) {
    throw Error(ErrorKind::io, "the history cannot be read: " + contents.note);
  }
  if (contents.texts.empty()) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{} has no history; runtimes write one with FOURGE_HISTORY=1",
                            root.empty() ? "no cache directory" : root));
  }
  const auto targets =
      request.targets.empty() ? std::vector<Target>() : parse_targets(request.targets);
  PrewarmSpecs found;
  for (const cache::HistoryText& text : contents.texts) {
    try {
      const KernelSpec spec = KernelSpec::parse(text.text);
      if (targets.empty() ||
          std::find(targets.begin(), targets.end(), spec.target()) != targets.end()) {
        add(spec, found.specs);
      }
    } catch (const Error&) {
      ++found.unknown;  // of another version, or an operation of a program's own
    }
  }
  return found;
}

}  // namespace

PrewarmSpecs find_specs(const PrewarmRequest& request, const Options& options) {
  if (!request.manifest.empty()) {
    return of_manifest(request);
  }
  if (request.from_history) {
    return of_history(request, options);
  }
  if (request.targets.empty()) {
    throw Error(ErrorKind::invalid_argument,
                "which kernels? give --target TARGET,..., --manifest FILE or --from-history");
  }
  return all_variants(request);
}

}  // namespace fourge::tools
