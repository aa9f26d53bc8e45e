// The kernels of the comparison on random blocks: compiled by NVRTC at run time from the .cuh files
// here, and launched as operations of their own, which no table lists.
#pragma once

#include <fourge/kernel.hpp>
#include <fourge/op_definition.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace fourge::tests {

struct RandomBlocksArgs {
  static constexpr std::string_view kOp = "random_blocks";
  std::uint16_t* x = nullptr;
  std::int64_t blocks = 0;
  std::uint64_t seed = 0;
  std::int32_t type = 0;  // 0 bf16, 1 f16
};

struct SlowQuantizeArgs {
  static constexpr std::string_view kOp = "slow_quantize";
  const std::uint16_t* x = nullptr;
  std::uint8_t* codes = nullptr;
  std::uint8_t* scales = nullptr;
  std::int64_t blocks = 0;
  float global_scale = 1.0F;
  std::int32_t type = 0;
  std::int32_t mode = 0;  // 0 standard, 1 4over6 with MAE, 2 with MSE
};

// Adds the number of differing bytes to *count.
struct CountDifferencesArgs {
  static constexpr std::string_view kOp = "count_differences";
  const std::uint8_t* a = nullptr;
  const std::uint8_t* b = nullptr;
  std::uint64_t* count = nullptr;
  std::int64_t bytes = 0;
};

// What NVRTC gets, for all three.
std::string slow_source();

// Compiles for the target; throws std::runtime_error with NVRTC's log.
std::vector<std::byte> compile_slow_kernels(const Target& target);

// Needs a current context whose device the target runs on.
class SlowKernels {
 public:
  explicit SlowKernels(const Target& target);
  ~SlowKernels();
  SlowKernels(const SlowKernels&) = delete;
  SlowKernels& operator=(const SlowKernels&) = delete;

  template <class Args>
  void launch(const Args& args, CUstream_st* stream) const {
    kernel(Args::kOp).launch(args, stream);
  }

 private:
  struct State;
  Kernel kernel(std::string_view op) const;
  std::unique_ptr<State> state_;
};

}  // namespace fourge::tests
