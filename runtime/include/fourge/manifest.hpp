// A manifest: the kernels that a server needs, as a file. docs/serving.md tells how it is used,
// docs/manifest.schema.json is its JSON schema.
//
//   {
//     "fourge_manifest": 1,
//     "targets": ["sm_90a", "sm_100a"],
//     "specs": [
//       "nvfp4_quantize[in=bf16,layout=128x4,tpc=4]",
//       {"spec": "row_amax[in=bf16]", "targets": ["sm_90a"], "fallback": false}
//     ]
//   }
//
// "targets" may be left out, at the top, in a spec, or both: Runtime::prepare_all() then takes the device's
// target, and `fourge prewarm --manifest` wants --target. A spec's own list stands in place of the one
// at the top. "fallback" is the spec that stands in for this one (see Runtime::freeze()): of the same
// operation, differing only in axes that do not change results; false: none; left out:
// KernelSpec::fallback(). "comment" may hold any text, at the top and in a spec; "$schema" may name the schema.
// Nothing else is allowed, nor is a name twice or a spec twice for one target.
//
// A Manifest is a value; const functions may be called from any thread.
#pragma once

#include <fourge/export.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/op_registry.hpp>
#include <fourge/target.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fourge {

inline constexpr int kManifestVersion = 1;

// One kernel of a manifest, for one target.
struct ManifestKernel {
  KernelSpec spec;
  std::optional<KernelSpec> fallback;  // may be the spec itself: it is as general as they come
  std::size_t line = 0;                // of the spec in the file; 0: added by the program
};

class FOURGE_API Manifest {
 public:
  Manifest() = default;

  // Throws Error(invalid_argument) for text that is no manifest and Error(invalid_spec) for a spec or
  // target that is not known or not legal; each with name, line and field: "fleet.json:7:
  // specs[2].targets[0]: ...". The name is for these messages only. Operations of your own are known
  // if the registry is given.
  static Manifest parse(std::string_view json, const std::string& name = "manifest",
                        const OpRegistry& ops = {});
  // The same for a file of at most 16 MiB. Error(io) if it cannot be read.
  static Manifest load(const std::string& path, const OpRegistry& ops = {});

  // Adds one kernel for the spec's own target. Throws Error(invalid_spec) for an illegal combination.
  // What is there already is not added again.
  void add(const KernelSpec& spec);

  // Whether there are specs that name no target, neither themselves nor at the top.
  bool needs_target() const noexcept;
  // All targets that are named, in ascending order.
  std::vector<Target> targets() const;
  // How many specs there are, each counted once, whatever it has of targets.
  std::size_t size() const noexcept { return entries_.size(); }
  // What to prepare for one target: the specs that name it or none, in the manifest's order. Throws
  // Error(invalid_spec) for a spec without targets that is not legal for this one.
  std::vector<ManifestKernel> kernels(Target target) const;
  // For all the targets that are named. Specs without one: for each of `targets`.
  std::vector<ManifestKernel> kernels(const std::vector<Target>& targets = {}) const;

  // As JSON that parses back to the same.
  std::string text() const;

 private:
  struct Entry {
    KernelSpec spec;              // its target means nothing
    std::vector<Target> targets;  // empty: any
    bool own_targets = false;     // not those at the top
    bool stands_alone = false;    // no fallback
    std::optional<KernelSpec> fallback;
    std::size_t line = 0;
  };
  friend class ManifestReader;

  ManifestKernel kernel(const Entry& entry, Target target) const;

  std::string name_ = "manifest";
  std::vector<Target> targets_;
  std::vector<Entry> entries_;
};

}  // namespace fourge
