#include "jit/cubin.hpp"

#include <dlfcn.h>
#include <nvrtc.h>

#include <cstdlib>
#include <fourge/error.hpp>
#include <memory>
#include <random>
#include <string>

#include "tests/gpu/cubin_builder.hpp"
#include "tests/support/catch.hpp"

namespace fourge {
namespace {

using jit::CubinInfo;
using jit::parse_cubin;
using tests::build_cubin;
using tests::BuiltCubin;

// Three kernels: shared memory, an indexed local array and a struct by value; one plain; one with
// dynamic shared memory and no parameter.
constexpr const char* kSource = R"cuda(
struct Five { int a[5]; };
extern "C" __global__ void __launch_bounds__(128)
first(const void* x, unsigned char* y, int n, long long m, Five b) {
  __shared__ int s[256];
  s[threadIdx.x] = ((const int*)x)[threadIdx.x] + b.a[n & 3];
  __syncthreads();
  int local[64];
  for (int i = 0; i < 64; i++) local[i] = s[(i * n) & 255];
  int t = 0;
  for (int i = 0; i < n; i++) {
    local[(i * 7 + s[i & 255]) & 63] += i;
    t += local[(s[i & 255] * 3) & 63];
  }
  y[threadIdx.x] = (unsigned char)(t + m);
}
extern "C" __global__ void second(float* z) { z[threadIdx.x] *= 2; }
extern __shared__ float dynamic[];
extern "C" __global__ void third() {
  dynamic[threadIdx.x] = 1;
  __syncthreads();
  if (dynamic[0] == 2) dynamic[1] = 3;
}
)cuda";

// A minimal way to NVRTC of the test's own; empty where the library is not installed.
class Nvrtc {
 public:
  Nvrtc() {
    const char* named = std::getenv("FOURGE_NVRTC");
    for (const char* path : {named != nullptr ? named : "libnvrtc.so.13", "libnvrtc.so.13",
                             "/usr/local/cuda/lib64/libnvrtc.so.13", "libnvrtc.so.12"}) {
      library_ = dlopen(path, RTLD_NOW | RTLD_LOCAL);
      if (library_ != nullptr) break;
    }
  }
  bool found() const { return library_ != nullptr; }

  std::vector<std::byte> compile(const std::string& target) const {
    const auto create = symbol<decltype(&::nvrtcCreateProgram)>("nvrtcCreateProgram");
    const auto run = symbol<decltype(&::nvrtcCompileProgram)>("nvrtcCompileProgram");
    const auto size = symbol<decltype(&::nvrtcGetCUBINSize)>("nvrtcGetCUBINSize");
    const auto get = symbol<decltype(&::nvrtcGetCUBIN)>("nvrtcGetCUBIN");
    const auto destroy = symbol<decltype(&::nvrtcDestroyProgram)>("nvrtcDestroyProgram");
    nvrtcProgram program = nullptr;
    REQUIRE(create(&program, kSource, "kernels.cu", 0, nullptr, nullptr) == NVRTC_SUCCESS);
    const std::string architecture = "--gpu-architecture=" + target;
    const char* options[] = {architecture.c_str(), "--frandom-seed=test"};
    const bool compiled = run(program, 2, options) == NVRTC_SUCCESS;
    std::vector<std::byte> cubin;
    std::size_t bytes = 0;
    if (compiled && size(program, &bytes) == NVRTC_SUCCESS) {
      cubin.resize(bytes);
      get(program, reinterpret_cast<char*>(cubin.data()));
    }
    destroy(&program);
    return cubin;
  }

 private:
  template <class Function>
  Function symbol(const char* name) const {
    const auto function = reinterpret_cast<Function>(dlsym(library_, name));
    REQUIRE(function != nullptr);
    return function;
  }
  void* library_ = nullptr;  // stays loaded: NVRTC does not like being unloaded
};

const Nvrtc& nvrtc() {
  static const Nvrtc instance;
  return instance;
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

// Whatever the bytes are, parsing ends with an answer or with Error.
bool parses(std::span<const std::byte> bytes) {
  // An exact allocation of its own, so that AddressSanitizer sees a read past the end.
  const auto copy = std::make_unique<std::byte[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), copy.get());
  try {
    parse_cubin({copy.get(), bytes.size()});
    return true;
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::invalid_argument);
    return false;
  }
}

void check_truncations_and_flips(const std::vector<std::byte>& cubin) {
  REQUIRE(parses(cubin));
  // The section table is at the end of a built cubin and before the program headers of a real one.
  for (std::size_t length = 0; length < 512; ++length) {
    if (length >= cubin.size()) break;
    CHECK_FALSE(parses(std::span(cubin).first(length)));
  }
  for (std::size_t length = 512; length < cubin.size(); length += 37) {
    parses(std::span(cubin).first(length));
  }
  std::vector<std::byte> bytes = cubin;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const auto mask : {std::byte{0xff}, std::byte{0x01}, std::byte{0x80}}) {
      bytes[at] ^= mask;
      parses(bytes);
      bytes[at] ^= mask;
    }
  }
  std::mt19937_64 random(7);
  for (int round = 0; round < 500; ++round) {
    for (int i = 0; i < 8; ++i) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    parses(bytes);
    if (round % 10 == 9) bytes = cubin;
  }
}

}  // namespace

TEST_CASE("loads before the first wait for the preceding kernel are counted", "[cubin]") {
  constexpr std::uint16_t kWait = 0x782e;
  constexpr std::uint16_t kLoad = 0x7981;
  constexpr std::uint16_t kLoadWide = 0x797e;
  constexpr std::uint16_t kCopyAsync = 0x7fae;
  constexpr std::uint16_t kCopyBulk = 0x73ba;
  const auto count = [](std::vector<std::uint16_t> opcodes) {
    BuiltCubin built;
    built.kernel = "quantize";
    built.opcodes = std::move(opcodes);
    return parse_cubin(build_cubin(built)).kernels.at(0).loads_before_wait;
  };
  CHECK(count({kLoad, kLoad}) == 0);  // nothing waits
  CHECK(count({kWait, kLoad, kWait}) == 0);
  CHECK(count({kLoad, kWait, kLoad}) == 1);
  CHECK(count({kLoadWide, kCopyAsync, kCopyBulk, kWait, kLoad, kWait}) == 3);
}

TEST_CASE("a built cubin is read back", "[cubin]") {
  BuiltCubin built;
  built.kernel = "quantize";
  built.params = {{0, 8}, {8, 4}, {16, 8}};
  built.registers = 42;
  built.shared_bytes = 1024 + 96;
  built.opcodes = {0x7983, 0x7387, 0x1983, 0x7918};
  const CubinInfo info = parse_cubin(build_cubin(built));
  CHECK(info.target.text() == "sm_90a");
  CHECK(info.target.suffix_known);
  REQUIRE(info.kernels.size() == 1);
  const auto& kernel = info.kernels[0];
  CHECK(info.find("quantize") == &kernel);
  CHECK(info.find("quantise") == nullptr);
  CHECK(kernel.registers == 42);
  CHECK(kernel.static_shared_bytes == 96);
  CHECK(kernel.reserved_shared_bytes == 1024);
  CHECK(kernel.local_loads == 2);
  CHECK(kernel.local_stores == 1);
  CHECK(kernel.code_bytes == 64);
  CHECK(kernel.loads_before_wait == 0);
  REQUIRE(kernel.params.size() == 3);
  CHECK(kernel.params[2] == jit::CubinParam{2, 16, 8});
}

TEST_CASE("a cubin's header and note must name one target", "[cubin]") {
  BuiltCubin built;
  built.target = "sm_100f";
  built.number = 100;
  CHECK(parse_cubin(build_cubin(built)).target.text() == "sm_100f");
  built.number = 103;
  CHECK_THROWS_AS(parse_cubin(build_cubin(built)), Error);
  built.target = "";
  const auto target = parse_cubin(build_cubin(built)).target;
  CHECK(target.text() == "sm_103");
  CHECK_FALSE(target.suffix_known);
}

TEST_CASE("files that are no cubins are refused by what is wrong", "[cubin]") {
  const auto refusal = [](std::vector<std::byte> bytes) -> std::string {
    try {
      parse_cubin(bytes);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const auto good = build_cubin({});
  CHECK(contains(refusal({}), "0 bytes are too few"));
  auto bytes = good;
  bytes[0] = std::byte{'M'};
  CHECK(contains(refusal(bytes), "does not begin as an ELF"));
  bytes = good;
  bytes[18] = std::byte{62};
  CHECK(contains(refusal(bytes), "machine is not CUDA"));
  bytes = good;
  bytes[8] = std::byte{9};
  CHECK(contains(refusal(bytes), "ABI version 9"));
  bytes = good;
  bytes.pop_back();
  CHECK(contains(refusal(bytes), "outside the file"));
}

TEST_CASE("a damaged built cubin is refused or read, never over-read", "[cubin]") {
  BuiltCubin built;
  built.params = {{0, 8}, {8, 4}};
  check_truncations_and_flips(build_cubin(built));
}

TEST_CASE("cubins of every target tell their target and parameters", "[cubin][nvrtc]") {
  if (!nvrtc().found()) {
    WARN("libnvrtc was not found: real cubins are not checked");
    return;
  }
  int compiled = 0;
  for (const char* target : {"sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_100a", "sm_100f",
                             "sm_103a", "sm_110a", "sm_120", "sm_120a", "sm_120f", "sm_121a"}) {
    const auto cubin = nvrtc().compile(target);
    if (cubin.empty()) continue;  // an older NVRTC
    ++compiled;
    INFO(target);
    const CubinInfo info = parse_cubin(cubin);
    CHECK(info.target.text() == target);
    CHECK(info.target.suffix_known);
    REQUIRE(info.kernels.size() == 3);
    const auto* first = info.find("first");
    REQUIRE(first != nullptr);
    const std::vector<jit::CubinParam> expected = {
        {0, 0, 8}, {1, 8, 8}, {2, 16, 4}, {3, 24, 8}, {4, 32, 20}};
    CHECK(first->params == expected);
    CHECK(first->static_shared_bytes == 1024);
    CHECK(first->registers >= 16);
    CHECK(first->registers <= 255);
    CHECK(first->frame_bytes >= 256);
    CHECK(first->stack_bytes >= first->frame_bytes);
    CHECK(first->local_loads > 0);
    CHECK(first->local_stores > 0);
    CHECK(first->constant_bytes > 52);
    const auto* second = info.find("second");
    REQUIRE(second != nullptr);
    CHECK(second->params.size() == 1);
    CHECK(second->static_shared_bytes == 0);
    CHECK(second->frame_bytes == 0);
    CHECK(second->local_loads == 0);
    CHECK(second->local_stores == 0);
    const auto* third = info.find("third");
    REQUIRE(third != nullptr);
    CHECK(third->params.empty());
    CHECK(third->static_shared_bytes == 0);
    CHECK(third->reserved_shared_bytes == (info.target.major >= 9 ? 1024U : 0U));
  }
  CHECK(compiled >= 5);
}

TEST_CASE("a damaged real cubin is refused or read, never over-read", "[cubin][nvrtc]") {
  if (!nvrtc().found()) {
    WARN("libnvrtc was not found: real cubins are not checked");
    return;
  }
  check_truncations_and_flips(nvrtc().compile("sm_90a"));
}

}  // namespace fourge
