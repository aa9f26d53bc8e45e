#include "tools/bench/gpu_session.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fourge/error.hpp>

#include "tools/execution.hpp"
#include "tools/interruption.hpp"

namespace fourge::tools {

DeviceInfo open_gpu(const GpuSessionOptions& options, const std::string& purpose) {
  const Place place = choose_place(options.on, std::nullopt, {"--on", false});
  if (!place) {
    throw Error(ErrorKind::unsupported, purpose + " needs a GPU; --on must name one");
  }
  return *place;
}

Options session_options(const CommonOptions& common) {
  Options options = library_options(common);
  options.worker_program = std::filesystem::read_symlink("/proc/self/exe").string();
  return options;
}

void compile_ahead(Runtime& runtime, const std::vector<KernelSpec>& specs) {
  constexpr std::chrono::milliseconds kLook{50};
  std::vector<PendingArtifact> pending;
  std::vector<const KernelSpec*> asked;
  for (const KernelSpec& spec : specs) {
    const auto same = [&](const KernelSpec* other) { return *other == spec; };
    if (std::any_of(asked.begin(), asked.end(), same)) continue;
    asked.push_back(&spec);
    pending.push_back(runtime.build_async(spec));
  }
  for (const PendingArtifact& one : pending) {
    while (!Interruption::wanted() && !one.wait_for(kLook)) {
    }
  }
  if (Interruption::wanted()) {
    for (const PendingArtifact& one : pending) one.cancel();
  }
}

}  // namespace fourge::tools
