// A libnvrtc that misbehaves on demand and otherwise passes every call on to the real one. For tests
// of what happens when a compile fails, hangs, crashes or eats memory.
//
// FOURGE_FAKE_NVRTC_REAL    path of the real library
// FOURGE_FAKE_NVRTC_CALLS   a file that gets a letter for each compile
// FOURGE_FAKE_NVRTC_FAULT   what compiles do: fail (a compile error with a log), memory (NVRTC's out
//                           of memory), crash, hang, eat (allocates until something ends it), wait (until
//                           the flow callback says to stop or there is no fault any more), sleep (three
//                           seconds, then compile); unset: compile
// FOURGE_FAKE_NVRTC_ONCE    a file: whoever removes it has the fault, everybody else compiles
#include <dlfcn.h>
#include <fcntl.h>
#include <nvrtc.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#define FOURGE_FAKE_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr char kLog[] = "fake.cu(1): error: this source is refused on purpose\n";

// Of the last compile of this thread; a test compiles one thing at a time.
thread_local bool refused = false;

// Of the program that this thread made last.
thread_local int (*flow)(void*, void*) = nullptr;
thread_local void* flow_payload = nullptr;

template <class Function>
Function real(const char* name) {
  static void* const library = [] {
    const char* path = std::getenv("FOURGE_FAKE_NVRTC_REAL");
    return path == nullptr ? nullptr : ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
  }();
  void* const symbol = library == nullptr ? nullptr : ::dlsym(library, name);
  if (symbol == nullptr) std::abort();
  return reinterpret_cast<Function>(symbol);
}

std::string fault() {
  const char* name = std::getenv("FOURGE_FAKE_NVRTC_FAULT");
  const char* once = std::getenv("FOURGE_FAKE_NVRTC_ONCE");
  if (name == nullptr || (once != nullptr && ::unlink(once) != 0)) return {};
  return name;
}

void count_call() {
  const char* path = std::getenv("FOURGE_FAKE_NVRTC_CALLS");
  if (path == nullptr) return;
  const int file = ::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0 || ::write(file, "x", 1) != 1) std::abort();
  ::close(file);
}

// Without it a compiler may see that nobody reads the memory, and take none.
void* volatile kept_piece = nullptr;

[[noreturn]] void eat_memory() {
  constexpr std::size_t kPiece = 8U << 20U;
  for (;;) {
    void* piece = std::malloc(kPiece);
    if (piece == nullptr) std::abort();
    std::memset(piece, 1, kPiece);
    kept_piece = piece;
    ::usleep(2000);
  }
}

}  // namespace

#define FOURGE_REAL(name) real<decltype(&::name)>(#name)

FOURGE_FAKE_EXPORT nvrtcResult nvrtcVersion(int* major, int* minor) {
  return FOURGE_REAL(nvrtcVersion)(major, minor);
}
FOURGE_FAKE_EXPORT const char* nvrtcGetErrorString(nvrtcResult result) {
  return FOURGE_REAL(nvrtcGetErrorString)(result);
}
FOURGE_FAKE_EXPORT nvrtcResult nvrtcCreateProgram(nvrtcProgram* program, const char* source,
                                                  const char* name, int headers,
                                                  const char* const* contents,
                                                  const char* const* names) {
  return FOURGE_REAL(nvrtcCreateProgram)(program, source, name, headers, contents, names);
}
FOURGE_FAKE_EXPORT nvrtcResult nvrtcSetFlowCallback(nvrtcProgram program,
                                                    int (*callback)(void*, void*), void* payload) {
  flow = callback;
  flow_payload = payload;
  return FOURGE_REAL(nvrtcSetFlowCallback)(program, callback, payload);
}
FOURGE_FAKE_EXPORT nvrtcResult nvrtcDestroyProgram(nvrtcProgram* program) {
  return FOURGE_REAL(nvrtcDestroyProgram)(program);
}
FOURGE_FAKE_EXPORT nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int count,
                                                   const char* const* options) {
  count_call();
  const std::string what = fault();
  refused = what == "fail" || what == "memory";
  if (what == "fail") return NVRTC_ERROR_COMPILATION;
  if (what == "memory") return NVRTC_ERROR_OUT_OF_MEMORY;
  if (what == "crash") std::abort();
  if (what == "eat") eat_memory();
  while (what == "hang") ::pause();
  if (what == "sleep") ::usleep(3'000'000);
  while (what == "wait" && std::getenv("FOURGE_FAKE_NVRTC_FAULT") != nullptr) {
    if (flow != nullptr && flow(flow_payload, nullptr) == 1) {
      refused = true;
      return NVRTC_ERROR_CANCELLED;
    }
    ::usleep(1000);
  }
  return FOURGE_REAL(nvrtcCompileProgram)(program, count, options);
}
FOURGE_FAKE_EXPORT nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, std::size_t* size) {
  return FOURGE_REAL(nvrtcGetCUBINSize)(program, size);
}
FOURGE_FAKE_EXPORT nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char* cubin) {
  return FOURGE_REAL(nvrtcGetCUBIN)(program, cubin);
}
FOURGE_FAKE_EXPORT nvrtcResult nvrtcGetPTXSize(nvrtcProgram program, std::size_t* size) {
  return FOURGE_REAL(nvrtcGetPTXSize)(program, size);
}
FOURGE_FAKE_EXPORT nvrtcResult nvrtcGetPTX(nvrtcProgram program, char* ptx) {
  return FOURGE_REAL(nvrtcGetPTX)(program, ptx);
}
FOURGE_FAKE_EXPORT nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, std::size_t* size) {
  if (!refused) return FOURGE_REAL(nvrtcGetProgramLogSize)(program, size);
  *size = sizeof kLog;
  return NVRTC_SUCCESS;
}
FOURGE_FAKE_EXPORT nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char* log) {
  if (!refused) return FOURGE_REAL(nvrtcGetProgramLog)(program, log);
  std::memcpy(log, kLog, sizeof kLog);
  return NVRTC_SUCCESS;
}
