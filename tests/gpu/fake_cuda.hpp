// A make-believe libcuda for tests of the driver layer: a shared library with cuGetProcAddress_v2
// that serves every entry point the driver layer asks for, does nothing on any device and records
// the calls.
//
// Its state is shared with the test through fake_cuda(). Recording allocates nothing, so that a
// test can count what a launch allocates.
#pragma once

#include <cuda.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <thread>

namespace fourge::tests {

struct FakeDevice {
  int major = 9;
  int minor = 0;
  int multiprocessors = 132;
  int shared_optin = 232448;
};

struct FakeParam {
  std::size_t offset;
  std::size_t size;
};

struct FakeLaunch {
  CUlaunchConfig config;  // attrs is the caller's pointer
  CUlaunchAttribute attributes[4];
  CUfunction function;
  CUcontext context;
  void** params;            // the caller's array, of pointers or of the one buffer
  std::size_t param_bytes;  // of the buffer; else 0
  std::array<std::array<std::uint8_t, 64>, 32> values;
};

struct FakeStream {
  bool used = false;
  bool blocking = true;
  CUcontext context = nullptr;
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  std::thread::id owner;  // of the capture
};

struct FakeAllocation {
  void* pointer = nullptr;  // null: a free place
  std::size_t bytes = 0;
  bool host = false;
  int opened = 0;        // by IPC, and not closed
  bool foreign = false;  // another process's, opened here
  int primary = -1;      // the device whose primary context it is in
};

struct FakeCuda {
  // What it pretends.
  std::array<FakeDevice, 4> devices{};
  int device_count = 2;
  int version = 13000;
  const char* missing = "";  // an entry point it does not have
  const char* failing = "";  // an entry point that fails with ...
  CUresult failure = CUDA_ERROR_UNKNOWN;
  int failing_device = -1;       // only while this device's context is current; -1: always
  bool foreign_handles = false;  // IPC handles of other processes are good
  std::array<std::array<bool, 4>, 4> no_access{};  // [a][b]: a cannot use b's memory
  std::array<FakeParam, 32> params{};
  std::size_t param_count = 0;

  // What was asked of it.
  std::array<const char*, 8192> calls{};
  std::atomic<std::size_t> call_count{0};
  std::array<FakeLaunch, 64> launches{};
  std::atomic<std::size_t> launch_count{0};
  std::atomic<int> libraries{0};        // loaded and not unloaded
  std::atomic<int> primary_retains{0};  // retained and not released, of all devices
  std::array<std::atomic<int>, 4> primary_retains_of{};
  std::array<int, 4> shared_limit{};         // per device, as set
  std::atomic<const char*> kernel_name{""};  // as asked for
  std::array<FakeStream, 64> streams{};
  // Primary contexts of the devices, then separate ones; a new one has a new number.
  std::array<std::atomic<unsigned long long>, 8> context_ids{0, 1, 2, 3, 4, 5, 6, 7};
  std::atomic<unsigned long long> next_context_id{8};
  std::mutex memory_mutex;
  std::array<FakeAllocation, 512> memory{};
  std::atomic<int> peer_enables{0};
  std::atomic<int> open_handles{0};  // by IPC, and not closed

  // Allocations that are not freed, and handles that are open.
  int live() {
    const std::lock_guard lock(memory_mutex);
    int count = open_handles;
    for (const FakeAllocation& allocation : memory) {
      count += allocation.pointer != nullptr ? 1 : 0;
    }
    return count;
  }

  std::size_t count(std::string_view name) const {
    std::size_t found = 0;
    for (std::size_t i = 0; i < call_count; ++i) found += name == calls[i] ? 1U : 0U;
    return found;
  }
};

}  // namespace fourge::tests
