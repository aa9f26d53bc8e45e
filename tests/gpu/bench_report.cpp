#include "tests/gpu/bench_report.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace fourge::bench {

void print_header(const Report& report) {
  fmt::print("device {} ({}.{}, {} multiprocessors, L2 {} MiB), driver {}\n", report.device.name,
             report.device.major, report.device.minor, report.device.multiprocessors,
             report.device.l2_bytes >> 20, report.driver_version);
  fmt::print("copy, device to device: {:.0f} GB/s (read + written)\n\n",
             report.copy_gigabytes_per_second);
  fmt::print("{:<68} {:>12} {:>10} {:>9} {:>7}\n", "spec", "shape", "us", "GB/s", "of copy");
}

void print_row(const Report& report, const Measurement& measurement) {
  fmt::print("{:<68} {:>12} {:>10.2f} {:>9.0f} {:>6.1f}%\n", measurement.spec,
             fmt::format("{}x{}", measurement.rows, measurement.cols),
             measurement.median_microseconds, measurement.gigabytes_per_second(),
             100 * measurement.gigabytes_per_second() / report.copy_gigabytes_per_second);
  std::fflush(stdout);
}

void write_json(const Report& report, const std::string& path) {
  nlohmann::ordered_json json;
  json["device"] = report.device.name;
  json["compute_capability"] = fmt::format("{}.{}", report.device.major, report.device.minor);
  json["multiprocessors"] = report.device.multiprocessors;
  json["l2_bytes"] = report.device.l2_bytes;
  json["driver_version"] = report.driver_version;
  json["copy_gb_per_s"] = report.copy_gigabytes_per_second;
  auto& results = json["results"] = nlohmann::ordered_json::array();
  for (const Measurement& measurement : report.measurements) {
    nlohmann::ordered_json entry;
    entry["spec"] = measurement.spec;
    entry["rows"] = measurement.rows;
    entry["cols"] = measurement.cols;
    entry["bytes"] = measurement.bytes;
    entry["buffers"] = measurement.buffers;
    entry["calls_per_replay"] = measurement.calls_per_replay;
    entry["replays"] = measurement.replays;
    entry["median_us"] = measurement.median_microseconds;
    entry["best_us"] = measurement.best_microseconds;
    entry["gb_per_s"] = measurement.gigabytes_per_second();
    entry["fraction_of_copy"] =
        measurement.gigabytes_per_second() / report.copy_gigabytes_per_second;
    results.push_back(std::move(entry));
  }
  std::ofstream file(path);
  file << json.dump(1) << '\n';
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

}  // namespace fourge::bench
