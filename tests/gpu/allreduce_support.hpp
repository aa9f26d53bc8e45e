// Calls of allreduce_rmsnorm_quantize on several devices and what they must give: inputs that every process
// can make for itself, the reference's results, one rank's buffers, and threads that are ranks.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <fourge/comm.hpp>
#include <fourge/device.hpp>
#include <fourge/runtime.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace fourge::tests {

struct AllreduceCase {
  std::string axes;  // without in, ranks and algorithm
  std::string dtype = "bf16";
  int ranks = 2;
  std::int64_t rows = 1;
  std::int64_t cols = 1024;
  std::uint64_t seed = 1;
  bool specials = false;  // -0.0, NaN, infinities and subnormals among the numbers

  std::string text() const;
  // The spec for some target, with an algorithm.
  KernelSpec spec(const Target& target, const std::string& algorithm) const;
};

// Of one rank; residual and weight are the same on all.
std::vector<std::uint16_t> allreduce_input(const AllreduceCase& c, int rank);
std::vector<std::uint16_t> allreduce_residual(const AllreduceCase& c);
std::vector<std::uint16_t> allreduce_weight(const AllreduceCase& c);

// Empty: the call does not write it.
struct AllreduceResults {
  std::vector<std::uint16_t> sum;
  std::vector<std::uint16_t> residual_out;
  std::vector<std::uint16_t> norm_out;
  std::vector<std::uint8_t> q;
  std::vector<std::uint8_t> scales;
  std::vector<float> token_scales;
};

// By the CPU reference, on so many threads.
AllreduceResults allreduce_expected(const AllreduceCase& c, unsigned threads);
// "" or the first difference. With rows: of so many rows at the beginning (linear layouts only).
std::string difference(const AllreduceResults& found, const AllreduceResults& expected,
                       std::int64_t rows = -1, std::int64_t all_rows = -1);

// One rank's buffers on its device, for cases up to some size.
class AllreduceBuffers {
 public:
  AllreduceBuffers(const DeviceContext& context, std::int64_t max_rows, std::int64_t cols);

  // Uploads the inputs and poisons the outputs, on the stream, and waits.
  void prepare(const AllreduceCase& c, int rank, const Stream& stream);
  // For the case prepared last.
  const AllreduceRmsnormQuantizeArgs& args() const noexcept { return args_; }
  // Other numbers for x, of as many rows; x must stay until the stream is done.
  void upload_x(const std::vector<std::uint16_t>& x, const Stream& stream);
  // Poisons the outputs again.
  void poison(CUstream_st* stream);
  // Waits for the stream. Throws std::runtime_error if something behind an output was written.
  AllreduceResults results(const Stream& stream) const;

 private:
  AllreduceCase case_;
  DeviceBuffer x_;
  DeviceBuffer residual_;
  DeviceBuffer weight_;
  DeviceBuffer sum_;
  DeviceBuffer residual_out_;
  DeviceBuffer norm_out_;
  DeviceBuffer q_;
  DeviceBuffer scales_;
  DeviceBuffer token_scales_;
  AllreduceRmsnormQuantizeArgs args_;
};

// What ranks in threads need of one another. When one fails, the others' waits throw.
class RankMeeting {
 public:
  explicit RankMeeting(int ranks) : ranks_(ranks), bytes_(static_cast<std::size_t>(ranks)) {}

  void wait();
  std::vector<std::byte> gather(int rank, std::span<const std::byte> mine);
  void fail();

 private:
  void arrive(std::unique_lock<std::mutex>& lock);

  const int ranks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::vector<std::byte>> bytes_;
  int arrived_ = 0;
  std::uint64_t round_ = 0;
  bool failed_ = false;
};

// A rank: its device's primary context is current. Rank r has device r % devices.
struct RankThread {
  int rank;
  int ranks;
  const DeviceContext& context;
  const Stream& stream;
  RankMeeting& meeting;
  Runtime& runtime;
  bool shares_devices;  // some rank does

  // Where ranks share devices: returns when all ranks have come and their streams are done. Between a call of
  // one rank and the same call of another nobody may allocate, load or copy, so this comes before and
  // after such things.
  void settle() const;
  comm::GroupConfig config(std::int64_t max_rows, std::int64_t cols,
                           const std::string& dtype = "bf16") const;
};

// Runs the body on a thread for each rank. Returns what went wrong, "" if nothing.
std::string run_ranks(Runtime& runtime, int ranks, const std::function<void(RankThread&)>& body);

// The specs (axes without in, ranks, algorithm) that the tests of exactness take, for a type.
std::vector<std::string> allreduce_axes(const std::string& dtype, int ranks);

// One for each device of this machine, at most 8, or as many as FOURGE_TEST_RANKS says: fewer, or more, which
// share devices then, at most so many of them one.
inline constexpr int kMostOnOneDevice = 4;
int test_ranks();
int test_devices();
// More ranks than devices.
bool ranks_share_devices();

Runtime& allreduce_runtime();

unsigned test_threads();

}  // namespace fourge::tests
