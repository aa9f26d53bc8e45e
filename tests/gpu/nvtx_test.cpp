// Ranges around compile and load, as a profiler sees them. This program holds the profiler's side
// itself (a static injection); the driver is a make-believe one.
#include <nvtx3/nvToolsExt.h>

#include <fourge/nvfp4_quantize.hpp>
#include <fourge/runtime.hpp>
#include <mutex>
#include <string>
#include <vector>

#include "tests/gpu/driver_probe.hpp"
#include "tests/runtime/scratch.hpp"

namespace fourge::tests {
namespace {

struct Recorder {
  std::mutex mutex;
  std::vector<std::string> domains;
  std::vector<std::string> events;  // "+NAME" and "-"
};

Recorder& recorder() {
  static Recorder made;
  return made;
}

char domain_object = 0;

nvtxDomainHandle_t create_domain(const char* name) {
  const std::lock_guard lock(recorder().mutex);
  recorder().domains.emplace_back(name);
  return reinterpret_cast<nvtxDomainHandle_t>(&domain_object);
}

int push(nvtxDomainHandle_t domain, const nvtxEventAttributes_t* event) {
  const std::lock_guard lock(recorder().mutex);
  REQUIRE(domain == reinterpret_cast<nvtxDomainHandle_t>(&domain_object));
  REQUIRE(event->messageType == NVTX_MESSAGE_TYPE_ASCII);
  recorder().events.push_back(std::string("+") + event->message.ascii);
  return 0;
}

int pop(nvtxDomainHandle_t) {
  const std::lock_guard lock(recorder().mutex);
  recorder().events.emplace_back("-");
  return 0;
}

template <class Function>
NvtxFunctionPointer as_pointer(Function* function) {
  return reinterpret_cast<NvtxFunctionPointer>(function);
}

int attach(NvtxGetExportTableFunc_t table_of) {
  const auto* callbacks =
      static_cast<const NvtxExportTableCallbacks*>(table_of(NVTX_ETID_CALLBACKS));
  NvtxFunctionTable table = nullptr;
  unsigned size = 0;
  if (callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE2, &table, &size) == 0) return 0;
  *table[NVTX_CBID_CORE2_DomainCreateA] = as_pointer(create_domain);
  *table[NVTX_CBID_CORE2_DomainRangePushEx] = as_pointer(push);
  *table[NVTX_CBID_CORE2_DomainRangePop] = as_pointer(pop);
  return 1;
}

std::vector<std::string> events_of(bool enabled, const char* text) {
  FakeCuda& fake = reset_fake();
  fake.missing = "cuKernelGetParamInfo";
  recorder().events.clear();
  const Scratch scratch;
  Options options = scratch.options();
  options.driver_library = FOURGE_FAKE_CUDA;
  options.nvtx = enabled;
  LogLines lines;
  options.log = lines.sink();
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  Runtime runtime(options);
  const KernelSpec spec = KernelSpec::parse(text, runtime.device_target());
  runtime.prepare(spec);
  runtime.prepare(spec);
  CHECK(lines.count(LogLevel::warn) == 0);
  return recorder().events;
}

// NVTX looks at this (weak) pointer when it is first used.
[[maybe_unused]] const bool injected = [] {
  InitializeInjectionNvtx2_fnptr = attach;
  return true;
}();

}  // namespace

TEST_CASE("compile and load are ranges of the profiler when enabled", "[nvtx]") {
  const std::string text = KernelSpec::parse("nvfp4_quantize[layout=8x4]@sm_90a").text();
  CHECK(events_of(true, "nvfp4_quantize[layout=8x4]") ==
        std::vector<std::string>{"+compile " + text, "-", "+load " + text, "-"});
  REQUIRE_FALSE(recorder().domains.empty());
  for (const auto& domain : recorder().domains) CHECK(domain == "fourge");
}

TEST_CASE("and are not when they are not", "[nvtx]") {
  const std::size_t domains = recorder().domains.size();
  CHECK(events_of(false, "nvfp4_quantize[layout=8x4]").empty());
  CHECK(recorder().domains.size() == domains);
}

}  // namespace fourge::tests
