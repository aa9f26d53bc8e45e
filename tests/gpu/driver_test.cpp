// The driver layer against a make-believe libcuda: loading the driver and kernels, and refusals.
// Needs no GPU and no NVRTC.
#include "tests/gpu/driver_probe.hpp"

namespace fourge::tests {

TEST_CASE("without a driver the error says what to do", "[driver]") {
  const auto failure = failure_of([] { Driver::load("/nowhere/libcuda.so.1"); });
  CHECK(failure.kind == ErrorKind::library_missing);
  CHECK(failure.says("/nowhere/libcuda.so.1"));
  CHECK(failure.says("cannot open shared object file"));
  CHECK(failure.says("Install the NVIDIA driver"));
  CHECK(failure.says("host execution"));

  std::string reason;
  CHECK(list_devices(&reason, "/nowhere/libcuda.so.1").empty());
  CHECK(reason == failure.text);
  reason.clear();
  CHECK(driver_version(&reason, "/nowhere/libcuda.so.1") == 0);
  CHECK(reason == failure.text);
}

TEST_CASE("a library that is no CUDA driver, or too old, is refused", "[driver]") {
  const auto other = failure_of([] { Driver::load("libm.so.6"); });
  CHECK(other.kind == ErrorKind::library_missing);
  CHECK(other.says("cuGetProcAddress_v2"));

  FakeCuda& fake = reset_fake();
  fake.missing = "cuLibraryLoadData";
  const auto old = failure_of([] { Driver::load(FOURGE_FAKE_CUDA); });
  CHECK(old.kind == ErrorKind::library_missing);
  CHECK(old.says("cuLibraryLoadData (CUDA 12.0)"));

  fake.missing = "cuFuncLoad";
  CHECK(Driver::load(FOURGE_FAKE_CUDA)->cuFuncLoad == nullptr);
}

TEST_CASE("a driver that refuses to start is reported with its status", "[driver]") {
  FakeCuda& fake = reset_fake();
  fake.failing = "cuInit";
  fake.failure = CUDA_ERROR_NO_DEVICE;
  const auto failure = failure_of([] { Driver::load(FOURGE_FAKE_CUDA); });
  CHECK(failure.kind == ErrorKind::driver);
  CHECK(failure.status == CUDA_ERROR_NO_DEVICE);
  CHECK(failure.says("cuInit(0) failed with CUDA_ERROR_OTHER (100): words about it"));
  std::string reason;
  CHECK(list_devices(&reason, FOURGE_FAKE_CUDA).empty());
  CHECK(reason == failure.text);
  fake.failure = CUDA_ERROR_UNKNOWN;  // which this driver has no name for
  CHECK(failure_of([] { Driver::load(FOURGE_FAKE_CUDA); }).says("unknown CUresult (999)"));
}

TEST_CASE("devices are listed without a context", "[driver]") {
  FakeCuda& fake = reset_fake();
  fake.devices[1].major = 7;
  std::string reason = "old";
  const auto devices = list_devices(&reason, FOURGE_FAKE_CUDA);
  REQUIRE(devices.size() == 2);
  CHECK(reason.empty());
  CHECK(devices[0].name == "Fake GPU A");
  CHECK(devices[0].multiprocessors == 132);
  CHECK(devices[0].memory_bytes == std::size_t{140} << 30);
  CHECK(devices[0].uuid == "GPU-a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf");
  REQUIRE(devices[0].target.has_value());
  CHECK(devices[0].target->text() == "sm_90a");
  CHECK_FALSE(devices[1].target.has_value());
  CHECK(driver_version(nullptr, FOURGE_FAKE_CUDA) == 13000);
  CHECK(fake.count("cuDevicePrimaryCtxRetain") + fake.count("cuCtxCreate") == 0);
  fake.device_count = 0;
  CHECK(list_devices(&reason, FOURGE_FAKE_CUDA).empty());
  CHECK(reason.find("no device") != std::string::npos);
}

TEST_CASE("a kernel is loaded once, at once, into the caller's context", "[driver]") {
  FakeCuda& fake = reset_fake();
  {
    const DeviceContext context(1, ContextKind::primary, FOURGE_FAKE_CUDA);
    const std::size_t retains = fake.count("cuDevicePrimaryCtxRetain");
    const std::size_t pushes = fake.count("cuCtxPushCurrent");
    const auto state = load_probe();
    CHECK(fake.libraries == 1);
    CHECK(std::string(fake.kernel_name) == "one letter");
    CHECK(fake.count("cuFuncLoad") == 1);
    CHECK(fake.count("cuKernelSetAttribute") == 0);
    CHECK(state->devices[0].multiprocessors == 132);
    CHECK(state->devices[1].runs);
    CHECK_FALSE(state->devices[2].present);
    CHECK(device_target(*state->driver).text() == "sm_90a");
    // The context is neither changed nor created.
    CHECK(fake.count("cuDevicePrimaryCtxRetain") == retains);
    CHECK(fake.count("cuCtxPushCurrent") == pushes);
    CHECK(fake.count("cuCtxPopCurrent") + fake.count("cuCtxSetCurrent") == 0);
    CHECK(fake.count("cuCtxCreate") == 0);
  }
  CHECK(fake.libraries == 0);
  CHECK(fake.primary_retains == 0);
}

TEST_CASE("older drivers load by asking for an attribute", "[driver]") {
  FakeCuda& fake = reset_fake();
  fake.missing = "cuFuncLoad";
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  load_probe();
  CHECK(fake.count("cuFuncGetAttribute") == 1);
}

TEST_CASE("what cannot be loaded is refused, and nothing leaks", "[driver]") {
  FakeCuda& fake = reset_fake();
  const auto driver = Driver::load(FOURGE_FAKE_CUDA);
  const KernelSpec spec(probe_op(), Target::parse("sm_90a"));
  const auto load = [&](const BuiltCubin& cubin, const char* entry = "k") {
    return failure_of([&] { load_kernel(driver, spec, entry, build_cubin(cubin)); });
  };
  const auto homeless = load(probe_cubin());
  CHECK(homeless.kind == ErrorKind::unsupported);
  CHECK(homeless.says("no current CUDA context"));
  CHECK(failure_of([&] { device_target(*driver); }).kind == ErrorKind::unsupported);

  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  SECTION("a cubin of another target never reaches the driver") {
    const auto failure = load(probe_cubin("sm_100a", 100));
    CHECK(failure.kind == ErrorKind::invalid_argument);
    CHECK(failure.says("cubin is for sm_100a"));
    CHECK(failure.says(spec.text()));
    CHECK(load(probe_cubin("sm_90", 90)).says("cubin is for sm_90,"));
    CHECK(fake.count("cuLibraryLoadData") == 0);
  }
  SECTION("nor one for another device") {
    const auto failure = failure_of([] { load_probe("sm_100a", 100); });
    CHECK(failure.kind == ErrorKind::unsupported);
    CHECK(failure.says("cubin is for sm_100a, but device 0"));
    CHECK(failure.says("9.0"));
    CHECK(fake.count("cuLibraryLoadData") == 0);
  }
  SECTION("nor one without the entry, nor what is no cubin") {
    CHECK(load(probe_cubin(), "other").says("has no entry other; it holds k"));
    const auto failure = failure_of([&] { load_kernel(driver, spec, "k", {}); });
    CHECK(failure.kind == ErrorKind::invalid_argument);
    CHECK(fake.count("cuLibraryLoadData") == 0);
  }
  SECTION("parameters must be the op's, by the cubin's word") {
    BuiltCubin cubin = probe_cubin();
    cubin.params[2].offset = 12;
    const auto failure = load(cubin);
    CHECK(failure.kind == ErrorKind::internal);
    CHECK(failure.says("parameter 2 (count)"));
    CHECK(failure.says("expected 8 bytes at offset 16, found 8 bytes at offset 12"));
    cubin.params.pop_back();
    CHECK(load(cubin).says("has 2 parameters; expected 3"));
    CHECK(fake.count("cuLibraryLoadData") == 0);
  }
  SECTION("and by the driver's") {
    fake.params[1].size = 8;
    CHECK(load(probe_cubin()).says("parameter 1 (factor)"));
    fake.params[1].size = 4;
    fake.param_count = 1;
    CHECK(load(probe_cubin()).says("1 parameters; expected 3"));
    CHECK(fake.count("cuLibraryLoadData") == 2);
  }
  SECTION("a driver that refuses is quoted with the spec") {
    for (const char* call : {"cuLibraryLoadData", "cuLibraryGetKernel", "cuKernelGetFunction",
                             "cuFuncLoad", "cuKernelGetParamInfo"}) {
      fake.failing = call;
      fake.failure = CUDA_ERROR_INVALID_IMAGE;
      const auto failure = load(probe_cubin());
      CHECK(failure.kind == ErrorKind::driver);
      CHECK(failure.status == CUDA_ERROR_INVALID_IMAGE);
      CHECK(failure.says(call));
      CHECK(failure.says("CUDA_ERROR_INVALID_IMAGE (200): words about it"));
      CHECK(failure.says(spec.text()));
    }
    fake.failing = "cuLibraryLoadData";
    fake.failure = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    CHECK(load(probe_cubin()).says("prepare kernels before capturing"));
  }
  CHECK(fake.libraries == 0);
}

TEST_CASE("the limit of dynamic shared memory is raised once per device that needs it",
          "[driver]") {
  FakeCuda& fake = reset_fake();
  fake.device_count = 3;
  fake.devices[1].major = 8;
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto driver = Driver::load(FOURGE_FAKE_CUDA);
  BuiltCubin cubin = probe_cubin();
  cubin.shared_bytes = 1024 + 2000;
  OpDefinition op = probe_op();
  const KernelSpec spec(op, Target::parse("sm_90a"));
  const auto load = [&] { load_kernel(driver, spec, "k", build_cubin(cubin)); };
  op.max_dynamic_shared = [](const KernelSpec&) -> std::uint32_t { return 48 * 1024 - 2000; };
  load();
  CHECK(fake.count("cuKernelSetAttribute") == 0);
  op.max_dynamic_shared = [](const KernelSpec&) -> std::uint32_t { return 48 * 1024; };
  load();
  CHECK(fake.count("cuKernelSetAttribute") == 2);
  CHECK(fake.shared_limit[0] == 48 * 1024);
  CHECK(fake.shared_limit[1] == 0);
  CHECK(fake.shared_limit[2] == 48 * 1024);
  op.max_dynamic_shared = [](const KernelSpec&) -> std::uint32_t { return 232448 - 1999; };
  const auto failure = failure_of(load);
  CHECK(failure.kind == ErrorKind::unsupported);
  CHECK(fake.libraries == 0);
}

}  // namespace fourge::tests
