// Every operation's calls on the device, in guarded buffers.
#include "tests/gpu/gpu_fixture.hpp"
#include "tests/ops/cases/op_cases.hpp"
#include "tests/ops/cases/parallel_calls.hpp"
#include "tests/ops/cases/vector_calls.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/variant_sample.hpp"
#include "tools/executed_targets.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

namespace fourge::tests {
namespace {

constexpr std::size_t kGuard = 512;
constexpr std::uint8_t kGuardByte = 0x5C;
constexpr std::size_t kMostVariants = 400;
constexpr std::size_t kMostVariantsLarge = 12;
constexpr std::uint64_t kSeed = 21;
constexpr std::size_t kSanitizedCalls = 8;  // of a variant

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

// In a context that is current.
std::string run_on_gpu(const DeviceContext& context, const Kernel& kernel, const OpCall& call) {
  const Stream stream(context);
  std::vector<GuardedBuffer> buffers;
  std::vector<std::uint8_t*> addresses;
  buffers.reserve(call.buffers.size());
  for (const OpBuffer& buffer : call.buffers) {
    addresses.push_back(buffers.emplace_back(context, buffer, stream).data());
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
  return variants_with_calls(op, targets);
}

// Compiles them side by side, in worker processes where the fourge command was found: NVRTC does one
// thing at a time in a process. What fails is said by prepare().
void build_all(Runtime& runtime, const std::vector<KernelSpec>& specs) {
  std::vector<PendingArtifact> pending;
  for (const KernelSpec& spec : specs) {
    pending.push_back(runtime.build_async(spec));
  }
  for (const PendingArtifact& one : pending) {
    one.wait();
  }
  const Stats stats = runtime.stats();
  WARN(specs.size() << " variants compiled; so far " << stats.worker_compiles
                    << " by worker processes, " << stats.compiles << " in this one");
}

std::vector<KernelSpec> specs_of(const std::vector<VariantCalls>& variants) {
  std::vector<KernelSpec> specs;
  for (const VariantCalls& variant : variants) {
    specs.push_back(variant.spec);
  }
  return specs;
}

// The variants' calls, on as many threads as the reference takes; every operation's figures are printed.
void run_all(const std::vector<VariantCalls>& variants) {
  Gpu& gpu = Gpu::get();
  build_all(gpu.runtime(), specs_of(variants));
  const auto tallies = run_variants(
      variants, reference_threads(),
      [&](const KernelSpec& spec) -> CallRunner {
        return [&gpu, kernel = gpu.runtime().prepare(spec)](const OpCall& call) {
          return run_on_gpu(gpu.context(), kernel, call);
        };
      },
      [&](const std::function<void()>& work) {
        const CurrentContext current(gpu.context());
        work();
      });
  for (const CallTally& tally : tallies) {
    WARN(to_string(tally));
    CHECK(tally.different == 0);
    CHECK(tally.calls >= tally.variants);
  }
}

// FOURGE_TEST_OPS: names of operations with commas between; without it all.
bool is_wanted(std::string_view op) {
  const char* const names = std::getenv("FOURGE_TEST_OPS");
  return names == nullptr ||
         ("," + std::string(names) + ",").find("," + std::string(op) + ",") != std::string::npos;
}

void run_ops(CallSize size, std::size_t most) {
  Gpu& gpu = Gpu::get();
  std::vector<VariantCalls> variants;
  for (const OpCases& cases : all_op_cases()) {
    if (!is_wanted(cases.op)) continue;
    for (const KernelSpec& spec : sampled(variants_of(gpu, cases.op), most, kSeed)) {
      variants.push_back({cases, spec, size});
    }
  }
  run_all(variants);
}

// Of what is compared.
std::size_t total_bytes(const OpCall& call) {
  std::size_t bytes = 0;
  for (const OpBuffer& buffer : call.buffers) {
    bytes += buffer.role == OpBuffer::Role::scratch ? 0 : buffer.bytes.size();
  }
  return bytes;
}

// At most so many of a variant's small calls that are small indeed; how many there were.
std::size_t run_small_calls(const DeviceContext& context, const OpCases& cases,
                            const Kernel& kernel, std::size_t most) {
  constexpr std::size_t kMostBytes = 131072;  // a row of 8192, for some variants
  std::size_t calls = 0;
  cases.visit(kernel.spec(), CallSize::small, [&](const OpCall& call) {
    if (calls == most || total_bytes(call) > kMostBytes) {
      return;
    }
    ++calls;
    const std::string difference = run_on_gpu(context, kernel, call);
    INFO(difference);
    CHECK(difference.empty());
  });
  return calls;
}

}  // namespace

TEST_CASE("a few small calls of every operation, for the sanitizer", "[ops][sanitize]") {
  Gpu& gpu = Gpu::get();
  std::vector<VariantCalls> variants;
  for (const OpCases& cases : all_op_cases()) {
    for (const KernelSpec& spec : axis_value_sample(variants_of(gpu, cases.op), kSeed)) {
      variants.push_back({cases, spec});
    }
  }
  build_all(gpu.runtime(), specs_of(variants));
  std::size_t calls = 0;
  for (const VariantCalls& variant : variants) {
    const std::size_t done = run_small_calls(gpu.context(), variant.cases,
                                             gpu.runtime().prepare(variant.spec), kSanitizedCalls);
    CHECK(done > 0);
    calls += done;
  }
  WARN(variants.size() << " variants, every value of every axis among them, " << calls << " calls");
}

// The calls above have fewer rows than the device takes CTAs.
TEST_CASE("copied rows of which a CTA takes two, for the sanitizer", "[ops][sanitize]") {
  constexpr auto kOp = "rmsnorm_quantize";
  Gpu& gpu = Gpu::get();
  if (!gpu.target().features().bulk_copy) {
    WARN("the device copies no rows: not checked");
    return;
  }
  const auto all = all_op_cases();
  const auto cases =
      std::find_if(all.begin(), all.end(), [&](const OpCases& of) { return of.op == kOp; });
  REQUIRE(cases != all.end());
  std::size_t calls = 0;
  for (const auto* row : {"128x2", "160x2", "224x2", "256x2"}) {
    for (const auto* layout : {"linear", "128x4"}) {
      KernelSpec spec(find_op(kOp), gpu.target());
      spec.set("row", row);
      spec.set("layout", layout);
      const Kernel kernel = gpu.runtime().prepare(spec);
      cases->visit(spec, CallSize::large, [&](const OpCall& call) {
        if (call.label.substr(0, 5) == "1000x") {
          const std::string difference = run_on_gpu(gpu.context(), kernel, call);
          INFO(spec.text() << ' ' << difference);
          CHECK(difference.empty());
          ++calls;
        }
      });
    }
  }
  CHECK(calls == 8);
}

TEST_CASE("50 launches of each operation around experts give equal bytes", "[ops][moe]") {
  constexpr int kRepeats = 50;
  Gpu& gpu = Gpu::get();
  std::size_t operations = 0;
  for (const OpCases& cases : all_op_cases()) {
    if (cases.op.substr(0, 4) != "moe_") {
      continue;
    }
    ++operations;
    const Kernel kernel = gpu.runtime().prepare(KernelSpec(find_op(cases.op), gpu.target()));
    std::optional<OpCall> largest;  // of the small ones
    cases.visit(kernel.spec(), CallSize::small, [&](const OpCall& call) {
      const bool gives_up = call.label.find("too small") != std::string::npos;
      if (!gives_up && (!largest || total_bytes(call) > total_bytes(*largest))) {
        largest = call;
      }
    });
    REQUIRE(largest);
    std::string difference;
    for (int i = 0; i < kRepeats && difference.empty(); ++i) {
      difference = run_on_gpu(gpu.context(), kernel, *largest);
    }
    INFO(difference);
    CHECK(difference.empty());
  }
  CHECK(operations == 7);
}

TEST_CASE("a call of every operation on a second device, one Runtime for both", "[ops][devices]") {
  Gpu& gpu = Gpu::get();
  const auto devices = list_devices();
  if (devices.size() < 2 || !devices[1].target) {
    WARN("there is no second device: not checked");
    return;
  }
  std::size_t calls = 0;
  for (const OpCases& cases : all_op_cases()) {
    const auto targets = tools::device_executed_targets(devices[1].major, devices[1].minor);
    auto specs = axis_value_sample(variants_with_calls(cases.op, targets), kSeed);
    specs.resize(1, specs.at(0));
    // Loaded for the first device before, so that the second one needs a module of its own.
    if (targets == tools::device_executed_targets(gpu.info().major, gpu.info().minor)) {
      gpu.runtime().prepare(specs[0]);
    }
    const DeviceContext context(1);
    calls += run_small_calls(context, cases, gpu.runtime().prepare(specs[0]), 4);
  }
  WARN("second device: " << calls << " calls");
  CHECK(calls >= all_op_cases().size());
}

TEST_CASE("every operation's calls on the device equal the reference", "[ops]") {
  run_ops(CallSize::small, kMostVariants);
}

TEST_CASE("the known-answer vectors on the device: 1080 results in every layout", "[vectors]") {
  Gpu& gpu = Gpu::get();
  std::size_t results = 0;
  for (const KernelSpec& spec : vector_specs(gpu.target())) {
    const Kernel kernel = gpu.runtime().prepare(spec);
    visit_vector_calls(spec, [&](const OpCall& call) {
      const std::string difference = run_on_gpu(gpu.context(), kernel, call);
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
  std::vector<VariantCalls> variants;
  for (const KernelSpec& spec : vector_specs(Gpu::get().target())) {
    for (const OpCases& cases : all_op_cases()) {
      if (cases.op == spec.op().name) {
        variants.push_back({cases, spec, CallSize::matrix});
      }
    }
  }
  CHECK(variants.size() == 108);
  run_all(variants);
}

TEST_CASE("every operation's large calls on the device equal the reference", "[ops][large]") {
  run_ops(CallSize::large, kMostVariantsLarge);
}

}  // namespace fourge::tests
