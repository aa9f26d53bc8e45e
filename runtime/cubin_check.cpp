#include "runtime/cubin_check.hpp"

#include <fmt/format.h>

#include <fourge/error.hpp>
#include <optional>
#include <string>

namespace fourge {
namespace {

const jit::CubinKernel& require_entry(const KernelSpec& spec, std::string_view entry_name,
                                      const jit::CubinInfo& info) {
  const Target target = spec.target();
  const bool same_number =
      info.target.major == target.major() && info.target.minor == target.minor();
  if (!same_number || (info.target.suffix_known && info.target.text() != target.text())) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("cubin is for {}, but {} is for {}: compile it for that target",
                            info.target.text(), spec.text(), target.text()));
  }
  const jit::CubinKernel* kernel = info.find(entry_name);
  if (kernel == nullptr) {
    throw Error(
        ErrorKind::internal,
        fmt::format("the cubin for {} has no entry {}; it holds {}", spec.text(), entry_name,
                    info.kernels.empty() ? std::string("no kernel") : info.kernels[0].name));
  }
  return *kernel;
}

// The launch passes the caller's argument struct as the parameters, so one that lies elsewhere
// or is longer would read what is not there.
void require_params(const KernelSpec& spec, const jit::CubinKernel& kernel) {
  const auto params = spec.op().params;
  if (params.size() > kMaxParams) {
    throw Error(ErrorKind::internal, fmt::format("{} has {} parameters; at most {} are supported",
                                                 spec.text(), params.size(), kMaxParams));
  }
  if (kernel.params.size() != params.size()) {
    throw Error(ErrorKind::internal, fmt::format("the entry of {} has {} parameters; expected {}",
                                                 spec.text(), kernel.params.size(), params.size()));
  }
  for (std::size_t i = 0; i < params.size(); ++i) {
    const auto& found = kernel.params[i];
    if (found.offset != params[i].offset || found.size != params[i].size) {
      throw Error(ErrorKind::internal,
                  fmt::format("parameter {} ({}) of {}: expected {} bytes at offset {}, found {} "
                              "bytes at offset {} in the cubin",
                              i, params[i].name, spec.text(), params[i].size, params[i].offset,
                              found.size, found.offset));
    }
    if (params[i].offset + params[i].size > spec.op().args_size) {
      throw Error(ErrorKind::internal, fmt::format("parameter {} of {} lies outside its struct",
                                                   params[i].name, spec.op().name));
    }
  }
}

}  // namespace

jit::CubinKernel require_kernel(const KernelSpec& spec, std::string_view entry_name,
                                std::span<const std::byte> cubin) {
  const jit::CubinInfo info = jit::parse_cubin(cubin);
  const jit::CubinKernel& kernel = require_entry(spec, entry_name, info);
  require_params(spec, kernel);
  return kernel;
}

cache::EntryCheck cubin_check(const KernelSpec& spec) {
  return [&spec](const cache::Entry& entry) -> std::optional<cache::EntryRefusal> {
    jit::CubinInfo info;
    try {
      info = jit::parse_cubin(entry.payload);
    } catch (const Error& error) {
      return cache::EntryRefusal{cache::MissCause::corrupt, error.what()};
    }
    try {
      require_params(spec, require_entry(spec, spec.entry_name(), info));
    } catch (const Error& error) {
      return cache::EntryRefusal{cache::MissCause::key, error.what()};
    }
    return std::nullopt;
  };
}

}  // namespace fourge
