// An emulated group of ranks that makes calls of allreduce_rmsnorm_quantize: workspaces, buffers and the
// comparison of what every rank got.
#pragma once

#include <fourge/allreduce_rmsnorm_quantize.hpp>
#include <fourge/kernel_spec.hpp>

#include "runtime/host/host_executor.hpp"
#include "runtime/host/ranks.hpp"
#include "tests/ops/cases/allreduce_cases.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace fourge::tests {

// Compiles for host execution. change is applied to the source first.
class RankKernels {
 public:
  RankKernels();
  std::vector<const host::HostFunction*> load(
      std::span<const KernelSpec> specs,
      const std::function<std::string(const KernelSpec&, std::string)>& change = {});

 private:
  host::HostExecutor executor_;
};

// ThreadSanitizer takes each emulated thread for one of at most 8128, which eight ranks with two multiprocessors
// exceed, and its time for a switch grows with their number: minutes for what takes seconds without. All ranks run on
// one OS thread, so that there is little for it to find: a few of the calls do.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kFewCalls = true;
#else
inline constexpr bool kFewCalls = false;
#endif
// Multiprocessors of an emulated device, one or two by turns.
inline constexpr std::uint64_t kMostMultiprocessors = kFewCalls ? 1 : 2;
inline int few_multiprocessors(std::uint64_t number) {
  return static_cast<int>(1 + number % kMostMultiprocessors);
}

class RankGroup {
 public:
  RankGroup(const comm::WorkspaceShape& shape, int multiprocessors);

  // One call by every rank, after those added before. `absent`: this rank does not make it.
  void add(const KernelSpec& spec, const host::HostFunction* function, const AllreduceCase& c,
           bool optional_outputs = true, int absent = -1);
  // "", or the first thing that is wrong: an error of host execution, a report, a rank's wrong result.
  std::string run(const host::RankSchedule& schedule);
  // The same, where ranks may give up: what a rank reported is no error, nor what it got in that call and later.
  std::string run_until_reports(const host::RankSchedule& schedule);

  // Of calls added from now on; of all ranks or of one.
  void set_deadline(std::int64_t nanoseconds) { deadlines_.assign(deadlines_.size(), nanoseconds); }
  void set_deadline(int rank, std::int64_t nanoseconds) {
    deadlines_[static_cast<std::size_t>(rank)] = nanoseconds;
  }
  const comm::Report& report(int rank) const;
  const comm::Control& control(int rank) const;

 private:
  struct alignas(128) Line {
    unsigned char bytes[128];
  };
  using Memory = std::vector<Line>;
  struct Output {
    std::string name;
    std::vector<unsigned char> expected;
    Memory found;
  };
  struct Call {
    int rank;
    std::string label;
    std::vector<Memory> inputs;
    std::vector<Output> outputs;
  };

  static Memory memory(std::size_t bytes);
  template <class T>
  void* input(Call& call, const std::vector<T>& values);
  template <class T>
  void* output(Call& call, const char* name, const std::vector<T>& expected);
  AllreduceRmsnormQuantizeArgs arguments(int rank);
  void add_for(int rank, const KernelSpec& spec, const host::HostFunction* function,
               const AllreduceCase& c, bool optional_outputs);
  std::string first_report() const;
  // In calls that no report covers.
  std::string difference() const;

  comm::WorkspaceShape shape_;
  comm::WorkspaceLayout layout_;
  int multiprocessors_;
  std::vector<std::int64_t> deadlines_;
  std::vector<Memory> workspaces_;
  std::vector<Memory> controls_;
  std::vector<Memory> reports_;
  std::deque<Call> calls_;
  std::vector<std::vector<host::RankCall>> launches_;
};

}  // namespace fourge::tests
