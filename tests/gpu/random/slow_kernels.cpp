#include "tests/gpu/random/slow_kernels.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

#include "jit/nvrtc.hpp"
#include "jit/nvrtc_location.hpp"
#include "jit/source_generator.hpp"
#include "runtime/driver/driver.hpp"
#include "runtime/driver/kernel_state.hpp"

namespace fourge::tests {
namespace {

constexpr int kThreads = 128;

#define FOURGE_TEST_PARAM(args, member, type) \
  { #member, type, offsetof(args, member), sizeof(args::member) }
constexpr Param kRandomParams[] = {FOURGE_TEST_PARAM(RandomBlocksArgs, x, "unsigned short*"),
                                   FOURGE_TEST_PARAM(RandomBlocksArgs, blocks, "long long"),
                                   FOURGE_TEST_PARAM(RandomBlocksArgs, seed, "unsigned long long"),
                                   FOURGE_TEST_PARAM(RandomBlocksArgs, type, "int")};
constexpr Param kSlowParams[] = {FOURGE_TEST_PARAM(SlowQuantizeArgs, x, "const unsigned short*"),
                                 FOURGE_TEST_PARAM(SlowQuantizeArgs, codes, "unsigned char*"),
                                 FOURGE_TEST_PARAM(SlowQuantizeArgs, scales, "unsigned char*"),
                                 FOURGE_TEST_PARAM(SlowQuantizeArgs, blocks, "long long"),
                                 FOURGE_TEST_PARAM(SlowQuantizeArgs, global_scale, "float"),
                                 FOURGE_TEST_PARAM(SlowQuantizeArgs, type, "int"),
                                 FOURGE_TEST_PARAM(SlowQuantizeArgs, mode, "int")};
constexpr Param kCountParams[] = {
    FOURGE_TEST_PARAM(CountDifferencesArgs, a, "const unsigned char*"),
    FOURGE_TEST_PARAM(CountDifferencesArgs, b, "const unsigned char*"),
    FOURGE_TEST_PARAM(CountDifferencesArgs, count, "unsigned long long*"),
    FOURGE_TEST_PARAM(CountDifferencesArgs, bytes, "long long")};
#undef FOURGE_TEST_PARAM

OpDefinition definition(std::string_view name, std::span<const Param> params, std::size_t size) {
  OpDefinition op{};
  op.name = name;
  op.params = params;
  op.args_size = size;
  op.block_threads = [](const KernelSpec&) { return kThreads; };
  op.refusal = [](const KernelSpec&) { return std::string(); };
  op.check_args = [](const KernelSpec&, const void*) {};
  // The threads stride: enough of them for any device.
  op.launch_shape = [](const KernelSpec&, const void*, const DeviceFacts& device) {
    LaunchShape shape;
    shape.grid[0] = static_cast<std::uint32_t>(std::max(1, device.multiprocessors)) * 16;
    shape.block[0] = kThreads;
    return shape;
  };
  op.regions = [](const KernelSpec&, const void*) { return std::vector<BufferRegion>(); };
  return op;
}

std::span<const OpDefinition> definitions() {
  static const OpDefinition kOps[] = {
      definition(RandomBlocksArgs::kOp, kRandomParams, sizeof(RandomBlocksArgs)),
      definition(SlowQuantizeArgs::kOp, kSlowParams, sizeof(SlowQuantizeArgs)),
      definition(CountDifferencesArgs::kOp, kCountParams, sizeof(CountDifferencesArgs))};
  return kOps;
}

std::string read_source(const std::string& name) {
  const std::string path = FOURGE_SOURCE_DIR "/tests/gpu/random/" + name;
  std::ifstream file(path);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (text.empty()) {
    throw std::runtime_error("cannot read " + path);
  }
  // Pasted into one text, where "once" has no meaning.
  const std::string once = "#pragma once";
  text.erase(text.find(once), once.size());
  return text;
}

std::string variable(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? "" : text;
}

}  // namespace

std::string slow_source() {
  return read_source("slow_nvfp4.cuh") + read_source("random_blocks.cuh") +
         read_source("kernels.cuh");
}

std::vector<std::byte> compile_slow_kernels(const Target& target) {
  const auto place = jit::locate_nvrtc({variable("FOURGE_NVRTC"), variable("CUDA_HOME")});
  if (!place.found()) {
    throw std::runtime_error(jit::nvrtc_missing_message(place));
  }
  const jit::Nvrtc nvrtc(place.path);
  const auto options = jit::nvrtc_options(target);
  jit::CompileOutput output = nvrtc.compile(slow_source(), "slow_nvfp4.cu", options);
  if (!output.ok || output.log.find_first_not_of(std::string("\0\n ", 3)) != std::string::npos) {
    throw std::runtime_error("slow_nvfp4.cu: " + output.status + "\n" + output.log);
  }
  return std::move(output.cubin);
}

struct SlowKernels::State {
  std::vector<std::unique_ptr<detail::KernelState>> kernels;
};

SlowKernels::SlowKernels(const Target& target) : state_(std::make_unique<State>()) {
  const auto cubin = compile_slow_kernels(target);
  const auto driver = Driver::load();
  for (const OpDefinition& op : definitions()) {
    state_->kernels.push_back(detail::load_kernel(driver, KernelSpec(op, target), op.name, cubin));
  }
}

SlowKernels::~SlowKernels() = default;

Kernel SlowKernels::kernel(std::string_view op) const {
  for (const auto& loaded : state_->kernels) {
    if (loaded->spec.op().name == op) {
      return Kernel(*loaded);
    }
  }
  throw std::logic_error("no kernel " + std::string(op));
}

}  // namespace fourge::tests
