#include "examples/quantize_server/server_options.hpp"

#include <charconv>
#include <limits>
#include <stdexcept>
#include <string_view>

namespace quantize_server {
namespace {

std::size_t number(std::string_view option, std::string_view text, std::size_t least,
                   std::size_t most) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    throw std::invalid_argument(std::string(option) + " takes a number from " +
                                std::to_string(least) + " to " + std::to_string(most) + ", not \"" +
                                std::string(text) + "\"");
  }
  return value;
}

DeviceChoice device_choice(const std::string& text) {
  if (text == "auto") return DeviceChoice::automatic;
  if (text == "gpu") return DeviceChoice::gpu;
  if (text == "host") return DeviceChoice::host;
  throw std::invalid_argument("--device takes auto, gpu or host, not \"" + text + "\"");
}

void set(ServerOptions& options, const std::string& name, const std::string& value) {
  if (name == "--address") {
    options.address = value;
  } else if (name == "--port") {
    options.port = static_cast<int>(number(name, value, 0, 65535));
  } else if (name == "--device") {
    options.device = device_choice(value);
  } else if (name == "--ordinal") {
    options.ordinal = static_cast<int>(number(name, value, 0, 63));
  } else if (name == "--workers") {
    options.workers = number(name, value, 1, 64);
  } else if (name == "--queue") {
    options.queue = number(name, value, 1, 1024);
  } else if (name == "--max-body") {
    options.max_body = number(name, value, 1, std::size_t{1} << 32U);
  } else if (name == "--grace") {
    options.grace = std::chrono::seconds(number(name, value, 0, 3600));
  } else {
    throw std::invalid_argument("unknown option " + name + "; --help lists them");
  }
}

}  // namespace

const char* const kUsage =
    "quantize_server [options]: NVFP4 quantization over HTTP\n"
    "  --address A       address to listen on (127.0.0.1)\n"
    "  --port N          port (8080); 0: any that is free, which is printed\n"
    "  --device D        auto, gpu or host (auto: a GPU if there is one)\n"
    "  --ordinal N       which GPU (0)\n"
    "  --workers N       threads that quantize (2)\n"
    "  --queue N         requests that may wait for one; more get 503 (32)\n"
    "  --max-body BYTES  of a request; more gets 413 (67108864)\n"
    "  --grace SECONDS   for requests under way at SIGTERM (10)\n"
    "  --verbose         fourge's messages to standard error\n";

ServerOptions parse_options(const std::vector<std::string>& arguments) {
  ServerOptions options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    if (name == "--help") {
      options.help = true;
    } else if (name == "--verbose") {
      options.verbose = true;
    } else if (i + 1 == arguments.size()) {
      throw std::invalid_argument(name + " is unknown or lacks its value; --help lists all");
    } else {
      set(options, name, arguments[++i]);
    }
  }
  return options;
}

}  // namespace quantize_server
