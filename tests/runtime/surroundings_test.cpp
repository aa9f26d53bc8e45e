// What others have put in our way, what changes under a running process, and options without bounds.
#include <fourge/error.hpp>
#include <fourge/runtime.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

#include "jit/build_id.hpp"
#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/faulty_nvrtc.hpp"

namespace fourge::tests {
namespace {

namespace fs = std::filesystem;

KernelSpec spec_of(const char* text) { return KernelSpec::parse(text, Target::parse("sm_90a")); }

std::size_t count_of(const std::string& directory) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

// TMPDIR, while it lives.
class TemporaryRoot {
 public:
  explicit TemporaryRoot(const std::string& path) {
    const char* const before = ::getenv("TMPDIR");
    before_ = before == nullptr ? "" : before;
    ::setenv("TMPDIR", path.c_str(), 1);
  }
  ~TemporaryRoot() {
    before_.empty() ? ::unsetenv("TMPDIR") : ::setenv("TMPDIR", before_.c_str(), 1);
  }
  TemporaryRoot(const TemporaryRoot&) = delete;
  TemporaryRoot& operator=(const TemporaryRoot&) = delete;

 private:
  std::string before_;
};

// The same library with another build id.
void copy_with_other_build_id(const std::string& from, const std::string& to) {
  const std::string hex = jit::read_build_id(from).value();
  std::string id;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    id += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  std::ifstream file(from, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const std::size_t at = bytes.find(id);
  REQUIRE(at != std::string::npos);
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  std::ofstream(to + ".new", std::ios::binary) << bytes;
  fs::rename(to + ".new", to);
  REQUIRE(jit::read_build_id(to) != jit::read_build_id(from));
}

}  // namespace

TEST_CASE("a link in place of the directory for failed sources is not followed", "[surroundings]") {
  const Scratch scratch;
  const std::string project = scratch.path() + "/project";
  const std::string temporary = scratch.path() + "/tmp";
  fs::create_directories(project);
  fs::create_directories(temporary);
  for (int i = 0; i < 80; ++i) {
    std::ofstream(project + "/kernel_" + std::to_string(i) + ".cu") << "mine";
  }
  const std::string name = temporary + "/fourge-failed-" + std::to_string(::geteuid());
  Options options = with_faulty_nvrtc(scratch.options());
  options.cache_directory.clear();
  const NvrtcFault fault("fail");
  const TemporaryRoot root(temporary);

  fs::create_directory_symlink(project, name);
  try {
    Runtime(options).build(spec_of("row_amax"));
    FAIL("it compiled");
  } catch (const CompileError& error) {
    CHECK(error.source_path().empty());
  }
  CHECK(count_of(project) == 80);

  // And where it is a directory of ours, only our own names go.
  fs::remove(name);
  fs::rename(project, name);
  CHECK_THROWS_AS(Runtime(options).build(spec_of("row_amax")), CompileError);
  CHECK(count_of(name) == 81);
}

TEST_CASE("a library that is replaced under a running process fills no cache", "[surroundings]") {
  const Scratch scratch;
  const Options options = with_faulty_nvrtc(scratch.options());
  REQUIRE(Runtime(options).build(spec_of("row_amax"))->origin == Origin::compiled);
  REQUIRE(scratch.files(".fourge").size() == 1);

  LogLines log;
  Options running = options;
  running.nvrtc_library = scratch.path() + "/libnvrtc.so.13";
  running.log = log.sink();
  fs::copy_file(options.nvrtc_library, running.nvrtc_library);
  Runtime runtime(running);
  REQUIRE(runtime.build(spec_of("row_amax"))->origin == Origin::disk);
  copy_with_other_build_id(options.nvrtc_library, running.nvrtc_library);
  CHECK(runtime.build(spec_of("row_amax[tpr=32]"))->origin == Origin::compiled);
  CHECK(runtime.build(spec_of("global_scale"))->origin == Origin::compiled);
  CHECK(scratch.files(".fourge").size() == 1);
  CHECK(log.count(LogLevel::warn) == 1);
  CHECK(log.all().find("no longer the library") != std::string::npos);
  // A process that begins now keeps what it compiles.
  CHECK(Runtime(options).build(spec_of("row_amax[tpr=32]"))->origin == Origin::compiled);
  CHECK(scratch.files(".fourge").size() == 2);
}

TEST_CASE("options without bounds are taken as long, not as none", "[surroundings]") {
  const Scratch scratch;
  Options options = with_faulty_nvrtc(scratch.options());
  options.compile_wait = std::chrono::milliseconds::max();
  options.stuck_after = std::chrono::milliseconds::max();
  options.failure_memory = std::chrono::seconds::max();
  options.worker_deadline = std::chrono::milliseconds::max();
  options.compile_slots = std::numeric_limits<std::size_t>::max();
  Runtime runtime(options);
  CHECK(runtime.options().compile_wait.count() == Options::kMostTime);
  CHECK(runtime.options().worker_deadline.count() == Options::kMostTime);
  CHECK(runtime.options().compile_slots == Options::kMostCompileSlots);
  CHECK(runtime.build(spec_of("row_amax"))->origin == Origin::compiled);
  {
    const NvrtcFault fault("fail");
    CHECK_THROWS_AS(runtime.build(spec_of("global_scale")), CompileError);
  }
  // Remembered.
  CHECK_THROWS_AS(Runtime(options).build(spec_of("global_scale")), CompileError);
  options.compile_wait = std::chrono::milliseconds(-5);
  options.failure_memory = std::chrono::seconds(-5);
  CHECK(Runtime(options).options().compile_wait.count() == 0);
  CHECK(Runtime(options).build(spec_of("global_scale"))->origin == Origin::compiled);
}

}  // namespace fourge::tests
