// What crosses from C++ to C: every kind of exception, and the lack of memory. And a launch through the C
// API on a make-believe libcuda.
#include "runtime/c_api/boundary.hpp"

#include <fourge/c_args.h>
#include <fourge/fourge.h>
#include <fourge/device.hpp>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "tests/gpu/driver_probe.hpp"
#include "tests/support/catch.hpp"

namespace {
// So many allocations of this thread succeed; then none does. Negative: all do.
thread_local long allocations_left = -1;

void* allocate(std::size_t size) {
  if (allocations_left == 0) {
    return nullptr;
  }
  allocations_left -= allocations_left > 0 ? 1 : 0;
  return std::malloc(size == 0 ? 1 : size);
}
}  // namespace

// Not inlined: where only one of new and delete is, g++ 12 takes the pair for mismatched.
#define FOURGE_NOINLINE __attribute__((noinline))
FOURGE_NOINLINE void* operator new(std::size_t size) {
  if (void* memory = allocate(size)) {
    return memory;
  }
  throw std::bad_alloc();
}
FOURGE_NOINLINE void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return allocate(size);
}
FOURGE_NOINLINE void operator delete(void* memory) noexcept { std::free(memory); }
FOURGE_NOINLINE void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
FOURGE_NOINLINE void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}

namespace fourge::tests {
namespace {

template <class Exception>
fourge_error* error_of(const Exception& exception, fourge_status wanted) {
  fourge_error* error = nullptr;
  CHECK(c_api::guarded(&error, [&] { throw exception; }) == wanted);
  REQUIRE(error != nullptr);
  CHECK(fourge_error_status(error) == wanted);
  CHECK(c_api::guarded(nullptr, [&] { throw exception; }) == wanted);
  return error;
}

}  // namespace

TEST_CASE("every kind of error has its status, and both have one name", "[capi]") {
  const std::pair<ErrorKind, fourge_status> kinds[] = {
      {ErrorKind::invalid_spec, FOURGE_INVALID_SPEC},
      {ErrorKind::invalid_argument, FOURGE_INVALID_ARGUMENT},
      {ErrorKind::unsupported, FOURGE_UNSUPPORTED},
      {ErrorKind::library_missing, FOURGE_LIBRARY_MISSING},
      {ErrorKind::compile_failed, FOURGE_COMPILE_FAILED},
      {ErrorKind::driver, FOURGE_DRIVER},
      {ErrorKind::io, FOURGE_IO},
      {ErrorKind::internal, FOURGE_INTERNAL},
      {ErrorKind::cancelled, FOURGE_CANCELLED},
      {ErrorKind::frozen, FOURGE_FROZEN},
      {ErrorKind::peer, FOURGE_PEER}};
  for (const auto& [kind, status] : kinds) {
    fourge_error* error = error_of(Error(kind, "why"), status);
    CHECK(std::string(fourge_error_message(error)) == "why");
    CHECK(std::string(fourge_error_log(error)).empty());
    CHECK(std::string(fourge_status_name(status)) == to_string(kind));
    fourge_error_free(error);
  }
}

TEST_CASE("a failed compile brings its log, the driver its status", "[capi]") {
  fourge_error* error = error_of(CompileError("what", "line 3: no", "/tmp/x.cu"),
                                 static_cast<fourge_status>(FOURGE_COMPILE_FAILED));
  CHECK(std::string(fourge_error_message(error)) == "what");
  CHECK(std::string(fourge_error_log(error)) == "line 3: no");
  CHECK(std::string(fourge_error_source_path(error)) == "/tmp/x.cu");
  fourge_error_free(error);
  error = error_of(DriverError("what", 719), static_cast<fourge_status>(FOURGE_DRIVER));
  CHECK(fourge_error_driver_status(error) == 719);
  fourge_error_free(error);
}

TEST_CASE("exceptions that are none of fourge's are internal errors", "[capi]") {
  fourge_error* error =
      error_of(std::logic_error("odd"), static_cast<fourge_status>(FOURGE_INTERNAL));
  CHECK(std::string(fourge_error_message(error)) == "odd");
  fourge_error_free(error);
  fourge_error_free(error_of(42, static_cast<fourge_status>(FOURGE_INTERNAL)));
}

TEST_CASE("success leaves no error behind", "[capi]") {
  auto* error = reinterpret_cast<fourge_error*>(&allocations_left);
  CHECK(c_api::guarded(&error, [] {}) == FOURGE_OK);
  CHECK(error == nullptr);
}

TEST_CASE("a lack of memory is a status at whatever allocation it comes", "[capi]") {
  fourge_options* options = nullptr;
  REQUIRE(fourge_options_create(&options, nullptr) == FOURGE_OK);
  const std::string path(200, 'p');
  long needed = 0;
  for (;; ++needed) {
    REQUIRE(needed < 1000);
    fourge_error* error = nullptr;
    allocations_left = needed;
    const fourge_status status =
        fourge_options_set(options, "cache_directory", path.c_str(), &error);
    allocations_left = -1;
    if (status == FOURGE_OK) {
      break;
    }
    REQUIRE(status == FOURGE_OUT_OF_MEMORY);
    REQUIRE(std::string(fourge_error_message(error)) == "the host is out of memory");
    fourge_error_free(error);
    const char* value = nullptr;
    REQUIRE(fourge_options_get(options, "cache_directory", &value, nullptr) == FOURGE_OK);
    REQUIRE(std::string(value).empty());
  }
  CHECK(needed > 0);
  // An error that there is no memory to tell.
  fourge_error* error = nullptr;
  allocations_left = 0;
  const fourge_status status = fourge_options_set(options, "no such option", "1", &error);
  allocations_left = -1;
  CHECK(status == FOURGE_OUT_OF_MEMORY);
  fourge_error_free(error);
  fourge_error_free(error);  // there is but one of these
  fourge_options_free(options);
}

namespace {

// With this machine's NVRTC, on the make-believe driver. The fake knows the probe's parameters only.
fourge_runtime* runtime_on(FakeCuda& fake) {
  fake.missing = "cuKernelGetParamInfo";
  fourge_options* options = nullptr;
  fourge_runtime* runtime = nullptr;
  REQUIRE(fourge_options_from_environment(&options, nullptr) == FOURGE_OK);
  REQUIRE(fourge_options_set(options, "driver_library", FOURGE_FAKE_CUDA, nullptr) == FOURGE_OK);
  REQUIRE(fourge_runtime_create(options, &runtime, nullptr) == FOURGE_OK);
  fourge_options_free(options);
  return runtime;
}

}  // namespace

TEST_CASE("kernels that come later, and stand-ins, from C", "[capi][driver]") {
  fourge_runtime* runtime = runtime_on(reset_fake());
  const DeviceContext context(0, ContextKind::separate, FOURGE_FAKE_CUDA);
  fourge_pending* pending = nullptr;
  REQUIRE(fourge_prepare_async(runtime, "nvfp4_quantize[layout=8x4]", &pending, nullptr) ==
          FOURGE_OK);
  std::int32_t ready = 0;
  CHECK(fourge_pending_wait(pending, -1, &ready, nullptr) == FOURGE_OK);
  CHECK(ready == 1);
  ready = 0;
  CHECK(fourge_pending_wait(pending, 0, &ready, nullptr) == FOURGE_OK);
  CHECK(ready == 1);
  fourge_kernel* general = nullptr;
  REQUIRE(fourge_pending_get(pending, &general, nullptr) == FOURGE_OK);
  CHECK(std::string(fourge_kernel_spec(general)).find("layout=8x4") != std::string::npos);
  CHECK(fourge_kernel_is_fallback(general) == 0);
  fourge_pending_free(pending);
  std::int32_t cached = 0;
  CHECK(fourge_is_cached(runtime, fourge_kernel_spec(general), &cached, nullptr) == FOURGE_OK);
  CHECK(cached == 1);

  // The wanted one has the general one's arguments and results, and takes its place by itself.
  REQUIRE(fourge_freeze(runtime, FOURGE_FREEZE_FALLBACK, nullptr) == FOURGE_OK);
  fourge_kernel* wanted = nullptr;
  REQUIRE(fourge_prepare(runtime, "nvfp4_quantize[layout=8x4,tpc=4]", &wanted, nullptr) ==
          FOURGE_OK);
  for (int i = 0; i < 30'000 && fourge_kernel_is_fallback(wanted) != 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(fourge_kernel_is_fallback(wanted) == 0);
  fourge_stats stats{};
  stats.size = sizeof(stats);
  REQUIRE(fourge_runtime_stats(runtime, &stats, nullptr) == FOURGE_OK);
  CHECK(stats.frozen_misses == 1);
  CHECK(stats.fallback_swaps == 1);
  fourge_kernel_free(wanted);
  fourge_kernel_free(general);
  fourge_runtime_free(runtime);
}

TEST_CASE("launches from C: stream, values, dependent launch, no allocation", "[capi][driver]") {
  FakeCuda& fake = reset_fake();
  fourge_runtime* runtime = runtime_on(fake);
  fourge_kernel* kernel = nullptr;
  CHECK(fourge_prepare(runtime, "nvfp4_quantize[layout=8x4]", &kernel, nullptr) ==
        FOURGE_UNSUPPORTED);  // no context
  const DeviceContext context(0, ContextKind::separate, FOURGE_FAKE_CUDA);
  const char* target = nullptr;
  REQUIRE(fourge_device_target(runtime, &target, nullptr) == FOURGE_OK);
  CHECK(std::string(target) == "sm_90a");
  REQUIRE(fourge_prepare(runtime, "nvfp4_quantize[layout=8x4]", &kernel, nullptr) == FOURGE_OK);
  fourge_runtime_free(runtime);
  CHECK(std::string(fourge_kernel_spec(kernel)).ends_with("@sm_90a"));

  fourge_nvfp4_quantize_args args;
  REQUIRE(fourge_args_init("nvfp4_quantize", &args, sizeof(args), nullptr) == FOURGE_OK);
  args.x = reinterpret_cast<const void*>(std::uintptr_t{1} << 20U);
  args.codes = reinterpret_cast<std::uint8_t*>(std::uintptr_t{2} << 20U);
  args.scales = reinterpret_cast<std::uint8_t*>(std::uintptr_t{3} << 20U);
  args.rows = 128;
  args.cols = 256;
  int stream = 0;
  fourge_launch_options dependent{sizeof(dependent), 1};
  fourge_error* error = nullptr;
  allocations_left = 0;
  const auto plain = fourge_launch(kernel, "nvfp4_quantize", &args, sizeof(args), &stream, &error);
  const auto with = fourge_launch_with(kernel, "nvfp4_quantize", &args, sizeof(args), nullptr,
                                       &dependent, &error);
  allocations_left = -1;
  CHECK(plain == FOURGE_OK);
  CHECK(with == FOURGE_OK);
  REQUIRE(fake.launch_count == 2);
  CHECK(static_cast<void*>(fake.launches[0].config.hStream) == &stream);
  CHECK(fake.launches[0].config.numAttrs == 0);
  CHECK(fake.launches[1].config.hStream == nullptr);
  CHECK(fake.launches[1].config.numAttrs == 1);
  CHECK(std::memcmp(fake.launches[0].values[0].data(), &args.x, sizeof(args.x)) == 0);

  struct {
    fourge_launch_options known;
    std::uint64_t newer;
  } newer{{sizeof(newer), 0}, 1};
  CHECK(fourge_launch_with(kernel, "nvfp4_quantize", &args, sizeof(args), nullptr, &newer.known,
                           nullptr) == FOURGE_INVALID_ARGUMENT);
  newer.newer = 0;
  CHECK(fourge_launch_with(kernel, "nvfp4_quantize", &args, sizeof(args), nullptr, &newer.known,
                           nullptr) == FOURGE_OK);
  CHECK(fourge_launch(kernel, "row_amax", &args, sizeof(args), nullptr, nullptr) ==
        FOURGE_INVALID_ARGUMENT);
  fake.failing = "cuLaunchKernelEx";
  CHECK(fourge_launch(kernel, "nvfp4_quantize", &args, sizeof(args), nullptr, &error) ==
        FOURGE_DRIVER);
  CHECK(fourge_error_driver_status(error) == CUDA_ERROR_UNKNOWN);
  fourge_error_free(error);
  fourge_kernel_free(kernel);
}

}  // namespace fourge::tests
