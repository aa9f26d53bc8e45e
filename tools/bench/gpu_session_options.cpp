#include "tools/bench/gpu_session_options.hpp"

namespace fourge::tools {

void add_gpu_session_options(CLI::App& command, GpuSessionOptions& options,
                             const std::string& what_help, const std::string& samples_help) {
  command.add_option("what", options.what, what_help);
  command.add_option("--shapes", options.shapes, "ROWSxCOLS,...")->capture_default_str();
  command.add_option("--samples", options.samples, samples_help)->capture_default_str();
  command.add_option("--on", options.on, "gpu, or a device's number")->capture_default_str();
}

}  // namespace fourge::tools
