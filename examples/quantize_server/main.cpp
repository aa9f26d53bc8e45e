// NVFP4 quantization over HTTP. README.md says how to use it and how it is made.
#include <fourge/runtime.hpp>

#include <csignal>
#include <cstdio>
#include <exception>
#include <future>
#include <thread>

#include "examples/quantize_server/backend.hpp"
#include "examples/quantize_server/server_options.hpp"
#include "examples/quantize_server/service.hpp"

namespace {

using namespace quantize_server;

constexpr int kStartFailed = 1;
constexpr int kBadUsage = 2;
constexpr int kStoppedLate = 3;

fourge::Options runtime_options(bool verbose) {
  fourge::Options options = fourge::Options::from_environment();
  if (verbose) {
    options.log = [](fourge::LogLevel, std::string_view text) {
      std::fprintf(stderr, "fourge: %.*s\n", static_cast<int>(text.size()), text.data());
    };
  }
  return options;
}

// Blocked before any thread starts, so that every thread inherits that and main() alone takes them.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

int run(const ServerOptions& options) {
  const sigset_t signals = block_signals();
  fourge::Runtime runtime(runtime_options(options.verbose));
  const std::unique_ptr<Backend> backend = make_backend(options, runtime);
  Service service(options, runtime, *backend);
  const int port = service.bind();
  if (port < 0) {
    std::fprintf(stderr, "quantize_server: cannot listen on %s, port %d\n", options.address.c_str(),
                 options.port);
    return kStartFailed;
  }
  std::printf("listening on http://%s:%d, quantizing on %s\n", options.address.c_str(), port,
              backend->name().c_str());
  std::fflush(stdout);

  std::future<void> served = std::async(std::launch::async, [&] { service.serve(); });
  std::string failure;
  std::thread preparing([&] {
    try {
      service.prepare();
      std::printf("ready\n");
      std::fflush(stdout);
    } catch (const std::exception& error) {
      failure = error.what();
      kill(getpid(), SIGTERM);
    }
  });
  int signal = 0;
  sigwait(&signals, &signal);
  preparing.join();
  service.stop();
  if (served.wait_for(options.grace) != std::future_status::ready) {
    std::fprintf(stderr, "quantize_server: requests were still under way after --grace\n");
    std::_Exit(kStoppedLate);
  }
  if (!failure.empty()) {
    std::fprintf(stderr, "quantize_server: %s\n", failure.c_str());
    return kStartFailed;
  }
  std::printf("stopped\n");
  return 0;
}

}  // namespace

int main(int argc, char* argv[]) {
  ServerOptions options;
  try {
    options = parse_options({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "quantize_server: %s\n", error.what());
    return kBadUsage;
  }
  if (options.help) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "quantize_server: %s\n", error.what());
    return kStartFailed;
  }
}
