// Every operation's calls on the device, in guarded buffers.
#include "tests/gpu/gpu_fixture.hpp"
#include "tests/ops/cases/op_cases.hpp"
#include "tests/ops/cases/vector_calls.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/variant_sample.hpp"
#include "tools/executed_targets.hpp"

namespace fourge::tests {
namespace {

constexpr std::size_t kGuard = 512;
constexpr std::uint8_t kGuardByte = 0x5C;
constexpr std::size_t kMostVariants = 400;
constexpr std::uint64_t kSeed = 21;

class GuardedBuffer {
 public:
  GuardedBuffer(const DeviceContext& context, const OpBuffer& buffer, const Stream& stream)
      : size_(buffer.bytes.size()), memory_(context, size_ + 2 * kGuard) {
    const auto initial = initial_bytes(buffer);
    memory_.fill(kGuardByte, stream.get());
    memory_.upload(initial.data(), initial.size(), stream.get(), kGuard);
    stream.synchronize();
  }
  std::uint8_t* data() const { return memory_.data() + kGuard; }
  // The contents without the guards; guards_intact tells whether those were left alone.
  std::vector<std::uint8_t> download(const Stream& stream, bool& guards_intact) const {
    std::vector<std::uint8_t> all(size_ + 2 * kGuard);
    memory_.download(all.data(), all.size(), stream.get());
    stream.synchronize();
    for (std::size_t i = 0; i < kGuard; ++i) {
      guards_intact =
          guards_intact && all[i] == kGuardByte && all[kGuard + size_ + i] == kGuardByte;
    }
    return {all.begin() + kGuard, all.end() - kGuard};
  }

 private:
  std::size_t size_;
  DeviceBuffer memory_;
};

std::string run_on_gpu(const Gpu& gpu, const Kernel& kernel, const OpCall& call) {
  const Stream stream(gpu.context());
  std::vector<GuardedBuffer> buffers;
  std::vector<std::uint8_t*> addresses;
  buffers.reserve(call.buffers.size());
  for (const OpBuffer& buffer : call.buffers) {
    addresses.push_back(buffers.emplace_back(gpu.context(), buffer, stream).data());
  }
  const auto args = call.args(addresses);
  kernel.launch_args(call.spec.op().name, args.data(), args.size(), stream.get());
  std::vector<std::vector<std::uint8_t>> found;
  bool guards_intact = true;
  for (const GuardedBuffer& buffer : buffers) {
    found.push_back(buffer.download(stream, guards_intact));
  }
  if (!guards_intact) {
    return call.spec.text() + " [" + call.label + "]: wrote outside a buffer";
  }
  return first_difference(call, found);
}

// Those of the list that the documentation is made from.
std::vector<KernelSpec> variants_of(const Gpu& gpu, std::string_view op) {
  const auto targets = tools::device_executed_targets(gpu.info().major, gpu.info().minor);
  return variants_for(find_op(op), targets);
}

void run_op(const OpCases& cases, CallSize size, std::size_t most) {
  Gpu& gpu = Gpu::get();
  const auto specs = sampled(variants_of(gpu, cases.op), most, kSeed);
  std::size_t calls = 0;
  Excused excused;
  for (const KernelSpec& spec : specs) {
    const Kernel kernel = gpu.runtime().prepare(spec);
    cases.visit(spec, size, [&](const OpCall& call) {
      const std::string difference = run_on_gpu(gpu, kernel, call);
      INFO(difference);
      CHECK(difference.empty());
      if (call.excused) {
        excused.codes += call.excused->codes;
        excused.blocks += call.excused->blocks;
      }
      ++calls;
    });
  }
  WARN(cases.op << ": " << specs.size() << " variants, " << calls
                << " calls; excused in fast math: " << excused.codes << " codes, " << excused.blocks
                << " blocks");
}

std::size_t total_bytes(const OpCall& call) {
  std::size_t bytes = 0;
  for (const OpBuffer& buffer : call.buffers) {
    bytes += buffer.bytes.size();
  }
  return bytes;
}

}  // namespace

TEST_CASE("a few small calls of every operation, for the sanitizer", "[ops][sanitize]") {
  constexpr std::size_t kSpecs = 6;
  constexpr std::size_t kCalls = 10;
  Gpu& gpu = Gpu::get();
  for (const OpCases& cases : all_op_cases()) {
    const auto specs = sampled(variants_of(gpu, cases.op), kSpecs, kSeed);
    for (std::size_t i = 0; i < specs.size() && i < kSpecs; ++i) {
      const Kernel kernel = gpu.runtime().prepare(specs[i]);
      std::size_t calls = 0;
      cases.visit(specs[i], CallSize::small, [&](const OpCall& call) {
        if (total_bytes(call) > 65536 || ++calls > kCalls) {
          return;
        }
        const std::string difference = run_on_gpu(gpu, kernel, call);
        INFO(difference);
        CHECK(difference.empty());
      });
      CHECK(calls > 0);
    }
  }
}

TEST_CASE("every operation's calls on the device equal the reference", "[ops]") {
  for (const OpCases& cases : all_op_cases()) {
    DYNAMIC_SECTION(cases.op) { run_op(cases, CallSize::small, kMostVariants); }
  }
}

TEST_CASE("the known-answer vectors on the device: 1080 results in every layout", "[vectors]") {
  Gpu& gpu = Gpu::get();
  std::size_t results = 0;
  for (const KernelSpec& spec : vector_specs(gpu.target())) {
    const Kernel kernel = gpu.runtime().prepare(spec);
    visit_vector_calls(spec, [&](const OpCall& call) {
      const std::string difference = run_on_gpu(gpu, kernel, call);
      INFO(difference);
      CHECK(difference.empty());
      ++results;
    });
  }
  WARN(gpu.target().text() << ": " << results << " = 3 layouts x " << results / 3
                           << " results of the known-answer vectors");
  CHECK(results == 3 * kVectorResults);
}

TEST_CASE("the published matrix on the device equals the reference", "[matrix][large]") {
  Gpu& gpu = Gpu::get();
  std::size_t calls = 0;
  const auto specs = vector_specs(gpu.target());
  for (const KernelSpec& spec : specs) {
    const Kernel kernel = gpu.runtime().prepare(spec);
    for (const OpCases& cases : all_op_cases()) {
      if (cases.op == spec.op().name) {
        cases.visit(spec, CallSize::matrix, [&](const OpCall& call) {
          const std::string difference = run_on_gpu(gpu, kernel, call);
          INFO(difference);
          CHECK(difference.empty());
          ++calls;
        });
      }
    }
  }
  WARN("matrix: " << specs.size() << " variants, " << calls << " calls");
  CHECK(calls >= specs.size() * 8 * 4);
}

TEST_CASE("every operation's large calls on the device equal the reference", "[ops][large]") {
  for (const OpCases& cases : all_op_cases()) {
    DYNAMIC_SECTION(cases.op) { run_op(cases, CallSize::large, 12); }
  }
}

}  // namespace fourge::tests
