// What the command line of the server says.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace quantize_server {

enum class DeviceChoice { automatic, gpu, host };

struct ServerOptions {
  std::string address = "127.0.0.1";
  int port = 8080;  // 0: any that is free
  DeviceChoice device = DeviceChoice::automatic;
  int ordinal = 0;          // of the GPU
  std::size_t workers = 2;  // threads that quantize, each with a stream of its own on a GPU
  std::size_t queue = 32;   // requests that may wait for a worker
  std::size_t max_body = std::size_t{64} << 20U;  // bytes
  std::chrono::seconds grace{10};  // for requests under way when the server is told to stop
  bool verbose = false;            // fourge's messages go to standard error
  bool help = false;
};

extern const char* const kUsage;

// Throws std::invalid_argument that names the option and what it takes.
ServerOptions parse_options(const std::vector<std::string>& arguments);

}  // namespace quantize_server
