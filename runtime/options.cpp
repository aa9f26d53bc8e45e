// The only place of the library that reads the environment.
#include <fourge/error.hpp>
#include <fourge/options.hpp>
#include <fourge/runtime.hpp>

#include <cstdlib>

namespace fourge {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string default_cache_directory() {
  if (auto directory = variable("FOURGE_CACHE_DIR"); !directory.empty()) {
    return directory;
  }
  if (auto base = variable("XDG_CACHE_HOME"); !base.empty()) {
    return base + "/fourge";
  }
  if (auto home = variable("HOME"); !home.empty()) {
    return home + "/.cache/fourge";
  }
  return {};
}

}  // namespace

Options Options::from_environment() {
  Options options;
  options.cache_directory = default_cache_directory();
  options.trusted_group = variable("FOURGE_CACHE_GROUP");
  options.runtime_directory = variable("XDG_RUNTIME_DIR");
  options.nvrtc_library = variable("FOURGE_NVRTC");
  options.cuda_home = variable("CUDA_HOME");
  if (options.cuda_home.empty()) {
    options.cuda_home = variable("CUDA_PATH");
  }
  if (auto compiler = variable("FOURGE_HOST_CXX"); !compiler.empty()) {
    options.host_compiler = compiler;
  }
  return options;
}

const char* to_string(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::invalid_spec:
      return "invalid_spec";
    case ErrorKind::invalid_argument:
      return "invalid_argument";
    case ErrorKind::unsupported:
      return "unsupported";
    case ErrorKind::library_missing:
      return "library_missing";
    case ErrorKind::compile_failed:
      return "compile_failed";
    case ErrorKind::driver:
      return "driver";
    case ErrorKind::io:
      return "io";
    case ErrorKind::internal:
      return "internal";
  }
  return "unknown";
}

const char* to_string(Origin origin) noexcept {
  switch (origin) {
    case Origin::memory:
      return "memory";
    case Origin::disk:
      return "disk";
    case Origin::compiled:
      return "compiled";
  }
  return "unknown";
}

}  // namespace fourge
