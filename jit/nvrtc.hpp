// NVRTC, loaded at run time. The only place that knows nvrtc.h. The library stays loaded until the
// process ends: it keeps state that its unloading would leak, and loading it again takes long.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

namespace fourge::jit {

struct CompileOutput {
  bool ok = false;
  std::vector<std::byte> cubin;  // for real targets (sm_90a)
  std::string ptx;  // for virtual targets (compute_90a); what the cubin was made of, if asked for
  std::string log;
  std::string status;  // NVRTC's name of the result: "NVRTC_ERROR_COMPILATION"
};

// Thread-safe; NVRTC's front end runs one compile at a time per process.
class Nvrtc {
 public:
  // Throws Error(library_missing) if the library cannot be loaded, lacks a function or is older
  // than 12.9, naming the path and the version found.
  explicit Nvrtc(const std::string& path);
  ~Nvrtc();
  Nvrtc(const Nvrtc&) = delete;
  Nvrtc& operator=(const Nvrtc&) = delete;

  int major() const noexcept;
  int minor() const noexcept;

  // Refused source is not an exception: ok is false and the log says why. Throws Error(internal)
  // only for failures of NVRTC itself.
  // A stop that is requested ends the compile at NVRTC's next look, which its front end does not take:
  // ok is false then, if it was not done before.
  CompileOutput compile(const std::string& source, const std::string& name,
                        std::span<const std::string> options, const std::stop_token& stop = {},
                        bool with_ptx = false) const;

 private:
  struct Api;
  std::unique_ptr<Api> api_;
};

}  // namespace fourge::jit
