#include <cstddef>
#include <cstring>
#include <fourge/kernel.hpp>

#include "tests/host_exec/host_test.hpp"

namespace fourge::tests {

namespace {

struct ScaleArgs {
  static constexpr std::string_view kOp = "test_scale";
  const float* x = nullptr;
  float* y = nullptr;
  float factor = 1.0F;
  std::int64_t n = 0;
};

struct OtherArgs {
  static constexpr std::string_view kOp = "test_other";
  int value = 0;
};

constexpr Param kParams[] = {
    {"x", "const float*", offsetof(ScaleArgs, x), sizeof(const float*)},
    {"y", "float*", offsetof(ScaleArgs, y), sizeof(float*)},
    {"factor", "float", offsetof(ScaleArgs, factor), sizeof(float)},
    {"n", "long long", offsetof(ScaleArgs, n), sizeof(long long)},
};

const ScaleArgs& scale_args(const void* args) { return *static_cast<const ScaleArgs*>(args); }

OpDefinition scale_op() {
  OpDefinition op{};
  op.name = ScaleArgs::kOp;
  op.params = kParams;
  op.args_size = sizeof(ScaleArgs);
  op.block_threads = [](const KernelSpec&) { return 64; };
  op.refusal = [](const KernelSpec&) { return std::string(); };
  op.check_args = [](const KernelSpec&, const void* args) {
    if (scale_args(args).n < 0) {
      throw Error(ErrorKind::invalid_argument, "n must not be negative");
    }
  };
  op.launch_shape = [](const KernelSpec&, const void* args, const DeviceFacts& device) {
    LaunchShape shape;
    shape.grid[0] = static_cast<std::uint32_t>(device.multiprocessors);
    shape.block[0] = 64;
    shape.empty = scale_args(args).n == 0;
    return shape;
  };
  op.regions = [](const KernelSpec&, const void* args) {
    const ScaleArgs& a = scale_args(args);
    const auto bytes = static_cast<std::size_t>(a.n) * sizeof(float);
    return std::vector<BufferRegion>{{"x", a.x, bytes, Access::read},
                                     {"y", a.y, bytes, Access::write}};
  };
  return op;
}

// slack: elements beyond n that the kernel touches.
host::HostSource scale_source(const OpDefinition& op, int slack) {
  const std::string body = R"(
extern "C" __global__ void __launch_bounds__(64) test_scale(const float* x, float* y, float factor,
                                                            long long n) {
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < n + SLACK; i += step) {
    store(&y[i], load(&x[i]) * factor);
  }
})";
  return {
      KernelSpec(op, Target::all().front()), "test_scale",
      with_primitives("#define SLACK " + std::to_string(slack) + "\n" + body + "\n#undef SLACK\n")};
}

}  // namespace

TEST_CASE("a kernel of an operation runs from its argument struct", "[host]") {
  const OpDefinition op = scale_op();
  host::HostExecutor executor({});
  // The same entry name twice in one translation unit, as a spec for two targets has.
  const std::vector<host::HostSource> sources{scale_source(op, 0), scale_source(op, 1)};
  const auto states = executor.prepare(sources);
  REQUIRE(states.size() == 2);
  const HostKernel kernel(*states[0]);
  CHECK(kernel.spec() == sources[0].spec);

  std::vector<float> x(1001);
  std::vector<float> y(1001);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(i);
  }
  ScaleArgs args{x.data(), y.data(), 3.0F, 1000};
  kernel.launch(args);
  for (std::size_t i = 0; i < 1000; ++i) {
    REQUIRE(y[i] == 3.0F * static_cast<float>(i));
  }
  CHECK(y[1000] == 0.0F);

  SECTION("the operation's regions are all it may touch") {
    const HostKernel careless(*states[1]);
    const auto message = internal_error([&] { careless.launch(args); });
    CHECK_CONTAINS(message, sources[1].spec.text());
    CHECK_CONTAINS(message, "begins 0 bytes after the end of buffer 'x' (4000 bytes, read-only)");
    CHECK(y[1000] == 0.0F);
    kernel.launch(args);
  }
  SECTION("nothing to do") {
    args = ScaleArgs{};
    kernel.launch(args);
  }
  SECTION("arguments are checked") {
    args.n = -1;
    CHECK_THROWS_AS(kernel.launch(args), Error);
    try {
      kernel.launch(OtherArgs{});
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::invalid_argument);
      CHECK_CONTAINS(error.what(), "test_other");
      CHECK_CONTAINS(error.what(), "test_scale");
    }
    CHECK_THROWS_AS(kernel.launch_args("test_scale", &args, sizeof(args) - 1), Error);
  }
  SECTION("prepared again, it is the same kernel") {
    CHECK(executor.prepare(sources) == states);
    CHECK(executor.counters().kernels_compiled == 2);
    CHECK(executor.counters().memory_hits == 2);
  }
}

TEST_CASE("an entry must have the operation's parameters", "[host]") {
  const OpDefinition op = scale_op();
  host::HostExecutor executor({});
  host::HostSource source = scale_source(op, 0);
  SECTION("too few") {
    source.source = "extern \"C\" __global__ void test_scale(const float* x) {}";
  }
  SECTION("of another size") {
    source.source =
        "extern \"C\" __global__ void test_scale(const float*, float*, double, long long) {}";
  }
  CHECK_CONTAINS(internal_error([&] { executor.prepare({&source, 1}); }), "parameters are not");
}

TEST_CASE("a launch rule that disagrees with the kernel's block size is reported", "[host]") {
  OpDefinition op = scale_op();
  op.block_threads = [](const KernelSpec&) { return 32; };
  host::HostExecutor executor({});
  const host::HostSource source = scale_source(op, 0);
  const HostKernel kernel(*executor.prepare({&source, 1}).front());
  std::vector<float> x(4);
  std::vector<float> y(4);
  CHECK_CONTAINS(internal_error([&] {
                   kernel.launch(ScaleArgs{x.data(), y.data(), 1.0F, 4});
                 }),
                 "asks for 64 threads a block, the kernel is compiled for 32");
}

}  // namespace fourge::tests
