// Where messages go: to the embedder's logger, or nowhere.
#include <fourge/log_adapter.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/runtime.hpp>

#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

#include <fcntl.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>
#include <cstdio>
#include <fstream>
#include <sstream>

using fourge::KernelSpec;
using fourge::Options;
using fourge::Runtime;
using fourge::tests::Scratch;

namespace {

const KernelSpec kSpec = KernelSpec::parse("nvfp4_quantize[layout=8x4]@sm_90a");

std::shared_ptr<spdlog::logger> logger_into(std::ostringstream& text) {
  auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(text);
  auto logger = std::make_shared<spdlog::logger>("mine", std::move(sink));
  logger->set_pattern("%n %l: %v");
  logger->set_level(spdlog::level::debug);
  return logger;
}

// A compile, a miss, a hit, a damaged entry, a directory that cannot be made.
void make_noise(const Scratch& scratch, const Options& options) {
  Runtime(options).build(kSpec);
  Runtime(options).build(kSpec);
  const auto entries = scratch.files(".fourge");
  REQUIRE_FALSE(entries.empty());
  std::ofstream(entries.front(), std::ios::trunc) << "damaged";
  Runtime(options).build(kSpec);
  Options unwritable = options;
  unwritable.cache_directory = "/proc/fourge";
  Runtime(unwritable).build(kSpec);
}

// What is written to a file descriptor of this process meanwhile.
class Redirected {
 public:
  Redirected(int descriptor, const std::string& path)
      : descriptor_(descriptor), path_(path), saved_(dup(descriptor)) {
    std::fflush(nullptr);
    const int file = open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    dup2(file, descriptor);
    close(file);
  }
  ~Redirected() { restore(); }
  Redirected(const Redirected&) = delete;
  Redirected& operator=(const Redirected&) = delete;
  std::string finish() {
    restore();
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

 private:
  void restore() {
    if (saved_ < 0) return;
    std::fflush(nullptr);
    dup2(saved_, descriptor_);
    close(saved_);
    saved_ = -1;
  }

  int descriptor_;
  std::string path_;
  int saved_;
};

}  // namespace

TEST_CASE("an embedder's spdlog logger gets the messages, with their levels", "[log]") {
  const Scratch scratch;
  std::ostringstream text;
  Options options = scratch.options();
  options.log = fourge::log_to(logger_into(text));
  make_noise(scratch, options);
  const std::string said = text.str();
  INFO(said);
  CHECK(said.find("mine info: compiled " + kSpec.text()) != std::string::npos);
  CHECK(said.find("mine debug: " + kSpec.text() + ": cache miss (absent)") != std::string::npos);
  CHECK(said.find("mine warning: " + kSpec.text() + ": a bad cache entry") != std::string::npos);
  CHECK(said.find("mine warning: the cache directory /proc/fourge") != std::string::npos);
}

TEST_CASE("messages are not taken for formats, and the logger's level decides", "[log]") {
  std::ostringstream text;
  const auto logger = logger_into(text);
  const auto log = fourge::log_to(logger);
  logger->set_level(spdlog::level::warn);
  log(fourge::LogLevel::info, "hidden");
  log(fourge::LogLevel::warn, "{} and %s");
  log(fourge::LogLevel::error, "{broken");
  CHECK(text.str() == "mine warning: {} and %s\nmine error: {broken\n");
  CHECK_FALSE(fourge::log_to(std::shared_ptr<spdlog::logger>()));
}

TEST_CASE("without a logger nothing is printed", "[log]") {
  const Scratch scratch;
  Options options = scratch.options();
  options.nvtx = true;
  REQUIRE_FALSE(options.log);
  Redirected out(STDOUT_FILENO, scratch.path() + "/out");
  Redirected error(STDERR_FILENO, scratch.path() + "/err");
  std::string failure;
  try {
    make_noise(scratch, options);
  } catch (const std::exception& thrown) {
    failure = thrown.what();
  }
  const std::string printed = out.finish() + error.finish();
  CHECK(failure.empty());
  CHECK(printed.empty());
}
