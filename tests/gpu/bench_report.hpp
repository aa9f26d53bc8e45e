// What bench_nvfp4 measured, as a table and as JSON.
#pragma once

#include <cstdint>
#include <fourge/device.hpp>
#include <string>
#include <vector>

namespace fourge::bench {

struct Measurement {
  std::string spec;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::size_t bytes = 0;    // that one call must move at least
  std::size_t buffers = 0;  // sets of buffers that the calls rotate through
  std::size_t calls_per_replay = 0;
  std::size_t replays = 0;         // samples behind the median
  double median_microseconds = 0;  // of one call
  double best_microseconds = 0;

  double gigabytes_per_second() const {
    return static_cast<double>(bytes) / (median_microseconds * 1e3);
  }
};

struct Report {
  DeviceInfo device;
  int driver_version = 0;
  double copy_gigabytes_per_second = 0;  // device to device, bytes read plus bytes written
  std::vector<Measurement> measurements;
};

void print_header(const Report& report);
void print_row(const Report& report, const Measurement& measurement);
// Throws std::runtime_error if the file cannot be written.
void write_json(const Report& report, const std::string& path);

}  // namespace fourge::bench
