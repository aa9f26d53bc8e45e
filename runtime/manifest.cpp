#include <fourge/manifest.hpp>

#include <fourge/error.hpp>

#include "runtime/manifest_reader.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

namespace fourge {
namespace {

constexpr std::size_t kMaximumBytes = 16U << 20U;

std::vector<std::string> texts_of(const std::vector<Target>& targets) {
  std::vector<std::string> texts;
  for (const Target target : targets) {
    texts.push_back(target.text());
  }
  return texts;
}

}  // namespace

Manifest Manifest::parse(std::string_view json, const std::string& name, const OpRegistry& ops) {
  return ManifestReader(name, ops).read(json);
}

Manifest Manifest::load(const std::string& path, const OpRegistry& ops) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaximumBytes + 1, '\0');
  if (file) {
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
  }
  if (!file.is_open() || file.bad() || (file.fail() && !file.eof())) {
    throw Error(ErrorKind::io, fmt::format("the manifest {} cannot be read: {}", path,
                                           std::strerror(errno == 0 ? EIO : errno)));
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMaximumBytes) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("the manifest {} is larger than {} bytes", path, kMaximumBytes));
  }
  return parse(text, path, ops);
}

void Manifest::add(const KernelSpec& spec) {
  spec.check();
  for (const ManifestKernel& known : kernels(spec.target())) {
    if (known.spec == spec) {
      return;
    }
  }
  entries_.push_back({spec, {spec.target()}, true, false, std::nullopt, 0});
}

bool Manifest::needs_target() const noexcept {
  return std::any_of(entries_.begin(), entries_.end(),
                     [](const Entry& entry) { return entry.targets.empty(); });
}

std::vector<Target> Manifest::targets() const {
  std::set<Target> all(targets_.begin(), targets_.end());
  for (const Entry& entry : entries_) {
    all.insert(entry.targets.begin(), entry.targets.end());
  }
  return {all.begin(), all.end()};
}

ManifestKernel Manifest::kernel(const Entry& entry, Target target) const {
  ManifestKernel kernel{entry.spec.with_target(target), std::nullopt, entry.line};
  try {
    kernel.spec.check();
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}:{}: {}", name_, entry.line, error.what()));
  }
  if (entry.fallback) {
    kernel.fallback = entry.fallback->with_target(target);
  } else if (!entry.stands_alone) {
    kernel.fallback = kernel.spec.fallback();
  }
  return kernel;
}

std::vector<ManifestKernel> Manifest::kernels(Target target) const {
  std::vector<ManifestKernel> kernels;
  for (const Entry& entry : entries_) {
    if (entry.targets.empty() ||
        std::find(entry.targets.begin(), entry.targets.end(), target) != entry.targets.end()) {
      kernels.push_back(kernel(entry, target));
    }
  }
  return kernels;
}

std::vector<ManifestKernel> Manifest::kernels(const std::vector<Target>& targets) const {
  std::vector<ManifestKernel> kernels;
  for (const Entry& entry : entries_) {
    for (const Target target : entry.targets.empty() ? targets : entry.targets) {
      kernels.push_back(kernel(entry, target));
    }
  }
  return kernels;
}

std::string Manifest::text() const {
  nlohmann::ordered_json document;
  document["fourge_manifest"] = kManifestVersion;
  if (!targets_.empty()) {
    document["targets"] = texts_of(targets_);
  }
  document["specs"] = nlohmann::ordered_json::array();
  for (const Entry& entry : entries_) {
    nlohmann::ordered_json spec{{"spec", entry.spec.text_without_target()}};
    if (entry.own_targets) {
      spec["targets"] = texts_of(entry.targets);
    }
    if (entry.stands_alone) {
      spec["fallback"] = false;
    } else if (entry.fallback) {
      spec["fallback"] = entry.fallback->text_without_target();
    }
    document["specs"].push_back(spec.size() == 1 ? spec["spec"] : spec);
  }
  return document.dump(2) + '\n';
}

}  // namespace fourge
