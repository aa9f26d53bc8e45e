// From an operation's definition to a run on the CPU.
#include <fmt/format.h>

#include <fourge/error.hpp>
#include <fourge/kernel.hpp>

#include "runtime/host/global_memory.hpp"
#include "runtime/host/host_executor.hpp"
#include "runtime/host/host_kernel_state.hpp"

namespace fourge {

namespace {

// A small fixed device, so that launch shapes do not depend on the machine.
constexpr DeviceFacts kHostDevice{4};

}  // namespace

namespace host {

namespace {

// The entry's signature must be what the op's definition says, or arguments would be misread.
void check_parameters(const OpDefinition& op, const HostFunction& function) {
  const fourge_host::Function& entry = *function.function;
  bool same = entry.parameters == op.params.size();
  for (std::size_t i = 0; same && i < op.params.size(); ++i) {
    same = entry.parameter_sizes[i] == op.params[i].size;
  }
  if (!same) {
    throw Error(ErrorKind::internal,
                fmt::format("host execution of {}: the entry's {} parameters are not the {} of the "
                            "op's definition, or not of their sizes",
                            function.label, entry.parameters, op.params.size()));
  }
}

}  // namespace

std::vector<const detail::HostKernelState*> HostExecutor::prepare(
    std::span<const HostSource> sources) {
  std::vector<RawSource> raw;
  raw.reserve(sources.size());
  for (const HostSource& source : sources) {
    raw.push_back({source.entry_name, source.source, source.spec.text()});
  }
  const auto functions = load(raw);
  std::vector<const detail::HostKernelState*> states;
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    check_parameters(sources[i].spec.op(), *functions[i]);
    auto& state = kernels_[functions[i]];
    if (state == nullptr) {
      state = std::make_unique<detail::HostKernelState>(
          detail::HostKernelState{sources[i].spec, functions[i], this});
    }
    states.push_back(state.get());
  }
  return states;
}

void HostExecutor::launch(const HostFunction& function, const LaunchShape& shape,
                          std::span<const BufferRegion> regions,
                          std::span<const void* const> arguments) {
  if (arguments.size() != function.function->parameters) {
    throw Error(ErrorKind::internal,
                fmt::format("host execution of {}: {} arguments for {} parameters", function.label,
                            arguments.size(), function.function->parameters));
  }
  if (shape.empty) {
    return;
  }
  const GlobalMemory memory(regions);
  grid_.run(Launch{function, shape, memory, arguments.data()});
}

}  // namespace host

const KernelSpec& HostKernel::spec() const noexcept { return state_->spec; }

void HostKernel::launch_args(std::string_view op_name, const void* args, std::size_t size) const {
  const KernelSpec& spec = state_->spec;
  const OpDefinition& op = spec.op();
  if (op_name != op.name || size != op.args_size) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: launched with the arguments of '{}' ({} bytes), wanted those of "
                            "'{}' ({} bytes)",
                            spec.text(), op_name, size, op.name, op.args_size));
  }
  op.check_args(spec, args);
  const LaunchShape shape = op.launch_shape(spec, args, kHostDevice);
  if (shape.empty) {
    return;
  }
  const auto threads = shape.block[0] * shape.block[1] * shape.block[2];
  const int bound = op.block_threads(spec);
  if (threads > static_cast<std::uint32_t>(bound)) {
    throw Error(ErrorKind::internal,
                fmt::format("{}: the launch rule asks for {} threads a block, the kernel is "
                            "compiled for {}",
                            spec.text(), threads, bound));
  }
  std::vector<const void*> arguments;
  for (const Param& param : op.params) {
    arguments.push_back(static_cast<const unsigned char*>(args) + param.offset);
  }
  const std::vector<BufferRegion> regions = op.regions(spec, args);
  state_->executor->launch(*state_->function, shape, regions, arguments);
}

}  // namespace fourge
