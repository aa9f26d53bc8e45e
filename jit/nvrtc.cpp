#include "jit/nvrtc.hpp"

#include <fourge/error.hpp>

#include <dlfcn.h>
#include <fmt/format.h>
#include <nvrtc.h>

#include "jit/nvrtc_location.hpp"

// The functions fourge calls.
#define FOURGE_NVRTC_FUNCTIONS(X) \
  X(nvrtcVersion)                 \
  X(nvrtcGetErrorString)          \
  X(nvrtcCreateProgram)           \
  X(nvrtcDestroyProgram)          \
  X(nvrtcCompileProgram)          \
  X(nvrtcGetCUBINSize)            \
  X(nvrtcGetCUBIN)                \
  X(nvrtcGetPTXSize)              \
  X(nvrtcGetPTX)                  \
  X(nvrtcGetProgramLogSize)       \
  X(nvrtcGetProgramLog)

namespace fourge::jit {

struct Nvrtc::Api {
  void* library = nullptr;
  int major = 0;
  int minor = 0;
#define FOURGE_MEMBER(name) decltype(&::name) name = nullptr;
  FOURGE_NVRTC_FUNCTIONS(FOURGE_MEMBER)
#undef FOURGE_MEMBER
  decltype(&::nvrtcSetFlowCallback) nvrtcSetFlowCallback = nullptr;  // may be missing
};

namespace {

constexpr int kOldestMajor = 12;
constexpr int kOldestMinor = 9;

template <class Function>
void resolve(void* library, const std::string& path, const char* name, Function& function) {
  void* symbol = dlsym(library, name);
  if (symbol == nullptr) {
    throw Error(ErrorKind::library_missing,
                fmt::format("{} has no function {}: it is no usable libnvrtc; install CUDA 12.9 or "
                            "later",
                            path, name));
  }
  function = reinterpret_cast<Function>(symbol);
}

}  // namespace

Nvrtc::Nvrtc(const std::string& path) : api_(std::make_unique<Api>()) {
  api_->library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (api_->library == nullptr) {
    throw Error(ErrorKind::library_missing,
                fmt::format("libnvrtc could not be loaded from {}: {}", path, dlerror()));
  }
#define FOURGE_RESOLVE(name) resolve(api_->library, path, #name, api_->name);
  FOURGE_NVRTC_FUNCTIONS(FOURGE_RESOLVE)
#undef FOURGE_RESOLVE
  api_->nvrtcSetFlowCallback = reinterpret_cast<decltype(&::nvrtcSetFlowCallback)>(
      dlsym(api_->library, "nvrtcSetFlowCallback"));
  api_->nvrtcVersion(&api_->major, &api_->minor);
  if (api_->major * 100 + api_->minor < kOldestMajor * 100 + kOldestMinor) {
    throw Error(ErrorKind::library_missing,
                fmt::format("{} is NVRTC {}.{}; fourge needs {}.{} or later", path, api_->major,
                            api_->minor, kOldestMajor, kOldestMinor));
  }
  // It opens its builtins by their bare name. Once those beside it are mapped, that name means them: the ones that the key names,
  // and also where the loader would find none.
  if (const std::string builtins = builtins_beside(path, api_->major, api_->minor);
      !builtins.empty()) {
    static_cast<void>(dlopen(builtins.c_str(), RTLD_NOW | RTLD_LOCAL));  // else it finds its own
  }
}

Nvrtc::~Nvrtc() = default;

int Nvrtc::major() const noexcept { return api_->major; }
int Nvrtc::minor() const noexcept { return api_->minor; }

namespace {

// A program, destroyed on every way out.
template <class Api>
class Program {
 public:
  Program(const Api& api, const std::string& source, const std::string& name) : api_(api) {
    check(api_.nvrtcCreateProgram(&program_, source.c_str(), name.c_str(), 0, nullptr, nullptr),
          "nvrtcCreateProgram");
  }
  ~Program() { api_.nvrtcDestroyProgram(&program_); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Without the function a compile simply goes on to its end.
  void watch(const std::stop_token& stop) {
    if (stop.stop_possible() && api_.nvrtcSetFlowCallback != nullptr) {
      api_.nvrtcSetFlowCallback(program_, stop_requested, const_cast<std::stop_token*>(&stop));
    }
  }

  nvrtcResult compile(std::span<const std::string> options) {
    std::vector<const char*> pointers;
    for (const std::string& option : options) {
      pointers.push_back(option.c_str());
    }
    return api_.nvrtcCompileProgram(program_, static_cast<int>(pointers.size()), pointers.data());
  }

  template <class Size, class Get>
  std::string text(Size size, Get get, const char* what) const {
    std::size_t bytes = 0;
    check(size(program_, &bytes), what);
    std::string text(bytes, '\0');
    if (bytes != 0) {
      check(get(program_, text.data()), what);
    }
    return text;
  }

 private:
  // Called by NVRTC's own threads, too. Not 0: end.
  static int stop_requested(void* token, void* /*reserved*/) {
    return static_cast<const std::stop_token*>(token)->stop_requested() ? 1 : 0;
  }

  void check(nvrtcResult result, const char* call) const {
    if (result != NVRTC_SUCCESS) {
      throw Error(ErrorKind::internal,
                  fmt::format("{} failed: {}", call, api_.nvrtcGetErrorString(result)));
    }
  }

  const Api& api_;
  nvrtcProgram program_ = nullptr;
};

std::string without_final_null(std::string text) {
  while (!text.empty() && text.back() == '\0') {
    text.pop_back();
  }
  return text;
}

}  // namespace

CompileOutput Nvrtc::compile(const std::string& source, const std::string& name,
                             std::span<const std::string> options, const std::stop_token& stop,
                             bool with_ptx) const {
  Program<Api> program(*api_, source, name);
  program.watch(stop);
  const nvrtcResult result = program.compile(options);
  CompileOutput output;
  output.status = api_->nvrtcGetErrorString(result);
  output.log = without_final_null(
      program.text(api_->nvrtcGetProgramLogSize, api_->nvrtcGetProgramLog, "nvrtcGetProgramLog"));
  if (result != NVRTC_SUCCESS) {
    return output;
  }
  const std::string cubin =
      program.text(api_->nvrtcGetCUBINSize, api_->nvrtcGetCUBIN, "nvrtcGetCUBIN");
  const auto bytes = std::as_bytes(std::span(cubin));
  output.cubin.assign(bytes.begin(), bytes.end());
  if (cubin.empty() || with_ptx) {
    output.ptx =
        without_final_null(program.text(api_->nvrtcGetPTXSize, api_->nvrtcGetPTX, "nvrtcGetPTX"));
  }
  output.ok = true;
  return output;
}

}  // namespace fourge::jit
