// A mixture of experts through the kernels: routing, maps, permuted rows, a plain product as a stand-in,
// activation and quantization, another product, the weighted sum. Each kernel takes what the one before
// wrote, and each result is checked against the CPU reference. The same on the host and on a GPU.
#pragma once

#include <fourge/moe.hpp>

#include <cstdint>
#include <span>

namespace fourge::tests {

// Where kernels run, and memory there.
class PipelinePlace {
 public:
  virtual ~PipelinePlace() = default;
  virtual const moe::Calls& calls() = 0;
  virtual CUstream_st* stream() = 0;
  // With these contents; stays as long as the place.
  virtual std::uint8_t* allocate(std::span<const std::uint8_t> contents) = 0;
  // After everything that was launched.
  virtual void read(const std::uint8_t* from, std::span<std::uint8_t> to) = 0;
};

struct PipelineShape {
  const char* label;
  bool padded;
  std::int64_t tokens;
  std::int64_t tile;
};
// Rows without padding; one token; tiles of 8 and of 128.
std::span<const PipelineShape> pipeline_shapes();

void run_moe_pipeline(const PipelineShape& shape, PipelinePlace& place);

}  // namespace fourge::tests
