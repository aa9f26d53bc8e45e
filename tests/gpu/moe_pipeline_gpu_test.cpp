// A mixture of experts through the kernels, on the device.
#include <vector>

#include "tests/gpu/gpu_fixture.hpp"
#include "tests/ops/moe_pipeline.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

class DevicePlace : public PipelinePlace {
 public:
  DevicePlace() : calls_(Gpu::get().runtime(), Gpu::get().info()), stream_(Gpu::get().context()) {}

  const moe::Calls& calls() override { return calls_; }
  CUstream_st* stream() override { return stream_.get(); }
  std::uint8_t* allocate(std::span<const std::uint8_t> contents) override {
    DeviceBuffer& memory = memory_.emplace_back(Gpu::get().context(), contents.size());
    memory.upload(contents.data(), contents.size(), stream_.get());
    stream_.synchronize();
    return memory.data();
  }
  void read(const std::uint8_t* from, std::span<std::uint8_t> to) override {
    for (const DeviceBuffer& memory : memory_) {
      if (memory.data() == from) memory.download(to.data(), to.size(), stream_.get());
    }
    stream_.synchronize();
  }

 private:
  moe::Calls calls_;
  Stream stream_;
  std::vector<DeviceBuffer> memory_;
};

}  // namespace

TEST_CASE("a mixture of experts through its operations on the device", "[moe][ops]") {
  for (const PipelineShape& shape : pipeline_shapes()) {
    DYNAMIC_SECTION(shape.label) {
      DevicePlace place;
      run_moe_pipeline(shape, place);
    }
  }
}

}  // namespace fourge::tests
