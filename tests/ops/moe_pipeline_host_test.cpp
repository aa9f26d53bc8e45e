// A mixture of experts through the kernels, by host execution.
#include <memory>
#include <vector>

#include "tests/ops/moe_pipeline.hpp"
#include "tests/support/aligned_buffer.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

class HostPlace : public PipelinePlace {
 public:
  // One runtime for all, which keeps what it compiled.
  const moe::Calls& calls() override {
    static Runtime runtime;
    static const moe::Calls calls = moe::Calls::on_host(runtime, Target::parse("sm_90a"), 132);
    return calls;
  }
  CUstream_st* stream() override { return nullptr; }
  std::uint8_t* allocate(std::span<const std::uint8_t> contents) override {
    memory_.push_back(std::make_unique<AlignedBuffer>(contents.data(), contents.size()));
    return memory_.back()->data();
  }
  void read(const std::uint8_t* from, std::span<std::uint8_t> to) override {
    std::copy_n(from, to.size(), to.begin());
  }

 private:
  std::vector<std::unique_ptr<AlignedBuffer>> memory_;
};

}  // namespace

TEST_CASE("a mixture of experts through its operations", "[moe-pipeline]") {
  for (const PipelineShape& shape : pipeline_shapes()) {
    DYNAMIC_SECTION(shape.label) {
      HostPlace place;
      run_moe_pipeline(shape, place);
    }
  }
}

}  // namespace fourge::tests
