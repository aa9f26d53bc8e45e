// What a Runtime does when any call to the file system fails, by a layer that makes them fail: the kernel
// is the right one each time, and a cache that cannot be written is warned of once.
#include <fourge/runtime.hpp>

#include "runtime/artifact_builder.hpp"
#include "tests/cache/faulty_file_system.hpp"
#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

#include <cerrno>
#include <string>
#include <vector>

using fourge::Artifact;
using fourge::ArtifactBuilder;
using fourge::Counters;
using fourge::KernelSpec;
using fourge::LogLevel;
using fourge::Options;
using fourge::Origin;
using fourge::tests::FaultyFileSystem;
using fourge::tests::LogLines;
using fourge::tests::Operation;
using fourge::tests::Scratch;

namespace {

// Two that compile quickly.
const char* const kSpecs[] = {"global_scale@sm_90a", "mxfp8_dequantize@sm_90a"};
constexpr int kErrors[] = {ENOSPC, EROFS, EACCES, EIO, ESTALE, EINTR, ENOENT, EMFILE};

int no_fault(Operation, const std::string&) { return 0; }

std::vector<std::byte> right_cubin(const char* spec) {
  Options options = Options::from_environment();
  options.cache_directory.clear();
  Counters counters;
  return ArtifactBuilder(options, counters).build(KernelSpec::parse(spec)).cubin;
}

bool is_write(Operation operation) {
  return operation == Operation::write || operation == Operation::rename ||
         operation == Operation::make_directories;
}

}  // namespace

TEST_CASE("no file can be written: the kernels are right, and one warning", "[faults]") {
  const std::vector<std::byte> right[] = {right_cubin(kSpecs[0]), right_cubin(kSpecs[1])};
  for (const int error : kErrors) {
    INFO("errno " << error);
    const Scratch scratch;
    LogLines log;
    Options options = scratch.options();
    options.log = log.sink();
    Counters counters;
    FaultyFileSystem files(
        [&](Operation operation, const std::string&) { return is_write(operation) ? error : 0; });
    ArtifactBuilder builder(options, counters, files);
    for (std::size_t i = 0; i < 2; ++i) {
      const Artifact artifact = builder.build(KernelSpec::parse(kSpecs[i]));
      CHECK(artifact.origin == Origin::compiled);
      CHECK(artifact.cubin == right[i]);
    }
    CHECK(log.count(LogLevel::warn) == 1);
    CHECK(log.all().find(options.cache_directory) != std::string::npos);
    CHECK(counters.snapshot().publish_failures == 2);
    CHECK(scratch.files(".fourge").empty());

    // It is used again as soon as it can be.
    files.hook = no_fault;
    CHECK(builder.build(KernelSpec::parse(kSpecs[0])).origin == Origin::compiled);
    CHECK(builder.build(KernelSpec::parse(kSpecs[0])).origin == Origin::disk);
    CHECK(log.count(LogLevel::warn) == 1);
  }
}

TEST_CASE("nothing can be read or written: the kernel is right, its entry stays", "[faults]") {
  const Scratch scratch;
  Options options = scratch.options();
  Counters first;
  const auto spec = KernelSpec::parse(kSpecs[0]);
  const auto right = ArtifactBuilder(options, first).build(spec).cubin;
  for (const int error : kErrors) {
    INFO("errno " << error);
    LogLines log;
    options.log = log.sink();
    Counters counters;
    FaultyFileSystem files([&](Operation, const std::string&) { return error; });
    ArtifactBuilder builder(options, counters, files);
    CHECK(builder.build(spec).cubin == right);
    CHECK(builder.build(spec).cubin == right);
    CHECK(log.count(LogLevel::warn) == 1);
    CHECK(counters.snapshot().heals == 0);
    files.hook = no_fault;
    const Artifact after = builder.build(spec);
    CHECK(after.origin == Origin::disk);
    CHECK(after.cubin == right);
  }
}

TEST_CASE("one call fails, whichever it is: the kernel is right and so is what is kept",
          "[faults]") {
  const auto spec = KernelSpec::parse(kSpecs[0]);
  const auto right = right_cubin(kSpecs[0]);
  std::size_t index = 0;
  bool beyond = false;  // a build that made fewer calls than the step
  for (int step = 0; step < 60 && !beyond; ++step) {
    // Each step with another error: all of them with each would take minutes of compiles.
    const int error = kErrors[index++ % std::size(kErrors)];
    INFO("step " << step << " errno " << error);
    const Scratch scratch;
    LogLines log;
    Options options = scratch.options();
    options.log = log.sink();
    int calls = 0;
    FaultyFileSystem files(
        [&](Operation, const std::string&) { return calls++ == step ? error : 0; });
    Counters counters;
    {
      ArtifactBuilder builder(options, counters, files);
      CHECK(builder.build(spec).cubin == right);
      beyond = calls <= step;
      CHECK(builder.build(spec).cubin == right);
      CHECK(log.count(LogLevel::warn) <= 1);
    }
    files.hook = no_fault;
    Counters fresh;
    const Artifact after = ArtifactBuilder(options, fresh).build(spec);
    CHECK(after.cubin == right);
    CHECK(after.origin == Origin::disk);
  }
  CHECK(beyond);
}
