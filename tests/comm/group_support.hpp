// Groups whose ranks are threads, on a make-believe libcuda with a device for each, or with fewer.
#pragma once

#include <fourge/comm.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/comm/fake_nccl.hpp"
#include "tests/comm/thread_gather.hpp"
#include "tests/gpu/driver_probe.hpp"
#include "tests/runtime/scratch.hpp"

namespace fourge::tests {

// Kernels of the program are compiled once; no tuning records unless a test says where.
inline Options group_options(const Scratch& scratch) {
  Options options = scratch.options();
  options.driver_library = FOURGE_FAKE_CUDA;
  options.cache_directory.clear();
  return options;
}

inline FakeCuda& reset_for_groups() {
  FakeCuda& fake = reset_fake();
  fake.device_count = 4;
  fake.missing = "cuKernelGetParamInfo";
  return fake;
}

inline FakeNccl& reset_nccl() {
  static FakeNccl* fake = [] {
    void* library = dlopen(FOURGE_FAKE_NCCL, RTLD_NOW);
    REQUIRE(library != nullptr);
    using Getter = FakeNccl* (*)();
    return reinterpret_cast<Getter>(dlsym(library, "fake_nccl"))();
  }();
  fake->~FakeNccl();
  new (fake) FakeNccl;
  return *fake;
}

inline comm::GroupConfig small_config(int rank, int ranks) {
  comm::GroupConfig config;
  config.rank = rank;
  config.ranks = ranks;
  config.device = rank;
  config.max_rows = 8;
  config.cols = 1024;
  config.nccl_library = FOURGE_FAKE_NCCL;
  return config;
}

using Changes = std::function<void(comm::GroupConfig&)>;
using RankBody = std::function<void(comm::Group&, int rank)>;

// Makes a group of threads and runs the body on each rank; what each rank threw (nothing: text empty).
inline std::vector<Failure> run_group(Runtime& runtime, int ranks, const Changes& change,
                                      const RankBody& body = {}) {
  ThreadGather gather(ranks);
  std::vector<Failure> failures(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      failures[static_cast<std::size_t>(rank)] = failure_of([&] {
        comm::GroupConfig config = small_config(rank, ranks);
        config.all_gather = gather.of_rank(rank);
        change(config);
        comm::Group group(runtime, config);
        if (body) body(group, rank);
      });
    });
  }
  for (std::thread& thread : threads) thread.join();
  return failures;
}

inline void nothing(comm::GroupConfig&) {}

// Rank r on device r % devices.
inline Changes on_devices(int devices) {
  return [devices](comm::GroupConfig& config) {
    config.device = config.rank % devices;
    config.allow_shared_devices = true;
  };
}

// Calls the function in a process for each rank; their exit codes, what it returned, or 9 after an exception, -1 for
// a process that did not exit.
template <class F>
std::vector<int> exit_codes_of_ranks(int ranks, const F& rank_of_process) {
  std::vector<pid_t> children;
  for (int rank = 0; rank < ranks; ++rank) {
    const pid_t child = ::fork();
    if (child == 0) {
      int code = 9;
      try {
        code = rank_of_process(rank);
      } catch (...) {
      }
      ::_exit(code);
    }
    children.push_back(child);
  }
  std::vector<int> codes;
  for (const pid_t child : children) {
    int status = 0;
    const bool exited = ::waitpid(child, &status, 0) == child && WIFEXITED(status);
    codes.push_back(exited ? WEXITSTATUS(status) : -1);
  }
  return codes;
}

}  // namespace fourge::tests
