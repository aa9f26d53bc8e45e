// moe_expand_quantize with staging=on on the device: calls of many sizes one after another on one workspace,
// with and without programmatic dependent launch, and replays of a graph of them.
#include <fourge/moe_expand_quantize.hpp>

#include "tests/gpu/gpu_fixture.hpp"
#include "tests/ops/cases/moe_expand_cases.hpp"
#include "tests/support/catch.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace fourge::tests {
namespace {

// Calls whose buffers are their own, but for the workspace.
class StagedCalls {
 public:
  StagedCalls(const Kernel& kernel, const Stream& stream) : kernel_(kernel), stream_(stream) {
    std::size_t bytes = 0;
    const auto add = [&](const OpCall& call) {
      bytes = std::max(bytes, call.buffers.back().bytes.size());
      calls_.push_back(call);
    };
    visit_moe_expand_calls(kernel.spec(), CallSize::small, add);
    visit_moe_expand_calls(kernel.spec(), CallSize::large, add);
    workspace_ = std::make_unique<DeviceBuffer>(Gpu::get().context(), bytes);
    const std::vector<std::uint8_t> counters(
        moe::expand_workspace_bytes(kernel.spec().get("format"), 0, 32));
    workspace_->fill(kPoison, stream.get());
    workspace_->upload(counters.data(), counters.size(), stream.get());
    for (const OpCall& call : calls_) {
      std::vector<std::uint8_t*> addresses;
      for (const OpBuffer& buffer : call.buffers) {
        memory_.push_back(std::make_unique<DeviceBuffer>(
            Gpu::get().context(), std::max<std::size_t>(buffer.bytes.size(), 1)));
        addresses.push_back(buffer.name == "workspace" ? workspace_->data()
                                                       : memory_.back()->data());
      }
      args_.push_back(call.args(addresses));
    }
    prepare();
  }

  // Inputs, and poison for outputs.
  void prepare() const {
    std::size_t next = 0;
    for (const OpCall& call : calls_) {
      for (const OpBuffer& buffer : call.buffers) {
        const auto initial = initial_bytes(buffer);
        if (!initial.empty()) {
          memory_[next]->upload(initial.data(), initial.size(), stream_.get());
        }
        ++next;
        stream_.synchronize();
      }
    }
  }
  void launch(bool dependent) const {
    for (const auto& args : args_) {
      LaunchOptions options;
      options.programmatic_dependent_launch = dependent;
      kernel_.launch_args(kernel_.spec().op().name, args.data(), args.size(), stream_.get(),
                          options);
    }
  }
  std::string difference() const {
    stream_.synchronize();
    std::size_t next = 0;
    for (const OpCall& call : calls_) {
      std::vector<std::vector<std::uint8_t>> found;
      for (const OpBuffer& buffer : call.buffers) {
        auto& bytes = found.emplace_back(buffer.bytes.size());
        if (!bytes.empty()) {
          memory_[next]->download(bytes.data(), bytes.size(), stream_.get());
        }
        ++next;
      }
      stream_.synchronize();
      if (std::string text = first_difference(call, found); !text.empty()) {
        return text;
      }
    }
    return {};
  }
  std::size_t size() const { return calls_.size(); }

 private:
  Kernel kernel_;
  const Stream& stream_;
  std::vector<OpCall> calls_;
  std::unique_ptr<DeviceBuffer> workspace_;
  std::vector<std::unique_ptr<DeviceBuffer>> memory_;
  std::vector<std::vector<std::byte>> args_;
};

}  // namespace

TEST_CASE("staged scales: many calls and replays on one workspace", "[moe][staging]") {
  constexpr int kReplays = 20;
  Gpu& gpu = Gpu::get();
  const bool dependent = gpu.target().features().grid_dependency;
  for (const char* axes :
       {"layout=128x4", "layout=8x4", "layout=128x4,index=compact", "layout=8x4,index=compact",
        "layout=128x4,scale=token", "layout=8x4,index=compact,format=mxfp8,scale=none"}) {
    INFO(axes);
    const KernelSpec spec = KernelSpec::parse(std::string("moe_expand_quantize[") + axes +
                                              ",staging=on]@" + gpu.target().text());
    const Stream stream(gpu.context());
    const StagedCalls calls(gpu.runtime().prepare(spec), stream);
    CHECK(calls.size() > 12);
    calls.launch(false);
    CHECK(calls.difference() == "");
    calls.prepare();
    calls.launch(dependent);
    CHECK(calls.difference() == "");
    const Graph graph(gpu.context(), stream, [&] { calls.launch(dependent); });
    calls.prepare();
    for (int i = 0; i < kReplays; ++i) {
      graph.launch(stream.get());
    }
    CHECK(calls.difference() == "");
  }
}

}  // namespace fourge::tests
