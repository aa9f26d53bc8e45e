// What the benchmark of all-reduce feeds to a call and what must come out.
#pragma once

#include <fourge/device.hpp>
#include <fourge/kernel_spec.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "tools/bench/allreduce_bench.hpp"

namespace fourge::tools {

// Random numbers of normal size; the same for the same arguments.
std::vector<std::uint16_t> allreduce_numbers(bool bf16, std::int64_t count, std::uint64_t seed);

// One rank's buffers for up to so many rows.
class AllreduceBuffers {
 public:
  AllreduceBuffers(const DeviceContext& context, const AllreduceBench& bench, int rank,
                   const Stream& stream);

  AllreduceRmsnormQuantizeArgs args(std::int64_t rows) const;
  // Overwrites what a call of so many rows writes.
  void poison(std::int64_t rows, const Stream& stream);
  // Compares some rows with the reference.
  void check(std::int64_t rows, const Stream& stream, AllreduceTime& time) const;

 private:
  void check_row(std::int64_t row, const std::vector<std::uint16_t>& residual_out,
                 const std::vector<std::uint8_t>& q, AllreduceTime& time) const;

  const AllreduceBench& bench_;
  KernelSpec spec_;
  std::vector<std::vector<std::uint16_t>> x_of_ranks_;  // all ranks', for the reference
  std::vector<std::uint16_t> residual_numbers_;
  std::vector<std::uint16_t> weight_numbers_;
  std::int64_t q_row_bytes_ = 0;
  DeviceBuffer x_;
  DeviceBuffer residual_;
  DeviceBuffer weight_;
  DeviceBuffer residual_out_;
  DeviceBuffer q_;
  DeviceBuffer scales_;
  DeviceBuffer token_scales_;
};

}  // namespace fourge::tools
