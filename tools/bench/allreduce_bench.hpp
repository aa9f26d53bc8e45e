// Times allreduce_rmsnorm_quantize on several devices of this machine, one thread a rank, beside NCCL's
// all-reduce followed by rmsnorm_quantize.
//
// A sample: one call, which brings the ranks together on their devices, then a graph of so many calls between
// two events. Of each rank the median of its samples counts, and of the ranks the slowest. Every way's results
// are compared with the CPU reference, for some rows on every rank.
#pragma once

#include <fourge/comm.hpp>
#include <fourge/device.hpp>
#include <fourge/runtime.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace fourge::tools {

struct AllreduceBench {
  int ranks = 2;
  std::vector<std::int64_t> tokens;
  std::int64_t cols = 7168;
  std::string dtype = "bf16";
  std::string axes = "out=nvfp4";  // without in, ranks and algorithm
  std::size_t samples = 20;
  bool dependent_launch = false;  // programmatic, of every kernel of fourge's
  bool with_nccl = true;
  std::string nccl_library = "libnccl.so.2";
};

// One way to do it.
struct AllreduceTime {
  double median_us = 0;
  std::size_t calls = 0;   // in a graph
  std::string difference;  // the first one from the reference, on the first rank that has one
  double equal_codes = 1;  // of the rows looked at
};

struct AllreduceTimes {
  std::int64_t rows = 0;
  AllreduceTime one_shot;
  AllreduceTime two_shot;
  AllreduceTime automatic;
  comm::Algorithm chosen = comm::Algorithm::one_shot;  // by automatic
  std::optional<AllreduceTime> nccl;
};

struct AllreduceReport {
  std::vector<AllreduceTimes> times;
  std::string nccl_missing;  // why there are no times of NCCL
};

// Of the ranks' devices. Throws Error(unsupported) for fewer devices than ranks.
DeviceInfo first_device_of(const AllreduceBench& bench);

// report_one: on another thread, as soon as a number of rows is measured. Ends early when an interruption is wanted.
// Throws what a group throws. There are as many devices as ranks.
AllreduceReport measure_allreduce(Runtime& runtime, const AllreduceBench& bench,
                                  const std::function<void(const AllreduceTimes&)>& report_one);

// The most rows for which one-shot was the faster one, and for all fewer ones that were measured; the largest
// number there is if it was for all.
std::int64_t crossing_of(const std::vector<AllreduceTimes>& times);

}  // namespace fourge::tools
