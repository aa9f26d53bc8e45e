// A small op and the make-believe driver (fake_cuda.hpp) that the driver layer's tests share.
#pragma once

#include <dlfcn.h>

#include <fourge/device.hpp>
#include <fourge/error.hpp>
#include <fourge/kernel.hpp>
#include <functional>
#include <memory>
#include <new>
#include <string>

#include "runtime/driver/kernel_state.hpp"
#include "tests/gpu/cubin_builder.hpp"
#include "tests/gpu/fake_cuda.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

using fourge::detail::device_target;
using fourge::detail::KernelState;
using fourge::detail::load_kernel;

struct ProbeArgs {
  static constexpr std::string_view kOp = "probe";
  const void* pointer = nullptr;
  float factor = 0;
  std::int64_t count = 0;
};

inline constexpr Param kParams[] = {{"pointer", "const void*", offsetof(ProbeArgs, pointer), 8},
                                    {"factor", "float", offsetof(ProbeArgs, factor), 4},
                                    {"count", "long long", offsetof(ProbeArgs, count), 8}};

inline void check_args(const KernelSpec&, const void* args) {
  if (static_cast<const ProbeArgs*>(args)->count < 0) {
    throw Error(ErrorKind::invalid_argument, "count is negative");
  }
}

inline LaunchShape launch_shape(const KernelSpec&, const void* args, const DeviceFacts& device) {
  const auto count = static_cast<const ProbeArgs*>(args)->count;
  LaunchShape shape;
  shape.empty = count == 0;
  shape.grid[0] = static_cast<std::uint32_t>(count);
  shape.grid[1] = static_cast<std::uint32_t>(device.multiprocessors);
  shape.grid[2] = 3;
  shape.block[0] = 96;
  shape.block[1] = 2;
  shape.dynamic_shared_bytes = 80;
  if (count == 44) shape.cluster = 4;
  return shape;
}

inline const OpDefinition& probe_op() {
  static const OpDefinition op{
      "probe",           "",      {},      "",         "",           kParams,
      sizeof(ProbeArgs), nullptr, nullptr, check_args, launch_shape, nullptr};
  return op;
}

// What an entry of the probe op looks like to the cubin reader.
inline BuiltCubin probe_cubin(const std::string& target = "sm_90a", std::uint32_t number = 90) {
  BuiltCubin cubin;
  cubin.target = target;
  cubin.number = number;
  cubin.params = {{0, 8}, {8, 4}, {16, 8}};
  return cubin;
}

// The fake, as after loading it anew.
inline FakeCuda& reset_fake() {
  static FakeCuda* fake = [] {
    void* library = dlopen(FOURGE_FAKE_CUDA, RTLD_NOW);
    REQUIRE(library != nullptr);
    using Getter = FakeCuda* (*)();
    return reinterpret_cast<Getter>(dlsym(library, "fake_cuda"))();
  }();
  fake->~FakeCuda();
  new (fake) FakeCuda;
  fake->params = {{{0, 8}, {8, 4}, {16, 8}}};
  fake->param_count = 3;
  return *fake;
}

struct Failure {
  bool thrown = false;
  ErrorKind kind = ErrorKind::internal;
  int status = 0;
  std::string text;
  bool says(const std::string& part) const { return text.find(part) != std::string::npos; }
};

inline Failure failure_of(const std::function<void()>& body) {
  Failure failure;
  try {
    body();
  } catch (const Error& error) {
    failure = {true, error.kind(), 0, error.what()};
    if (const auto* driver = dynamic_cast<const DriverError*>(&error)) {
      failure.status = driver->status();
    }
  }
  return failure;
}

inline std::unique_ptr<KernelState> load_probe(const std::string& target = "sm_90a",
                                               std::uint32_t number = 90) {
  return load_kernel(Driver::load(FOURGE_FAKE_CUDA), {probe_op(), Target::parse(target)}, "k",
                     build_cubin(probe_cubin(target, number)));
}

}  // namespace fourge::tests
