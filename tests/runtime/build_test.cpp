// From spec to cubin through memory and disk, with the NVRTC of this machine and no GPU.
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/runtime.hpp>

#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

#include <thread>

using fourge::KernelSpec;
using fourge::Origin;
using fourge::Runtime;
using fourge::tests::LogLines;
using fourge::tests::Scratch;

namespace {

const KernelSpec kSpec = KernelSpec::parse("nvfp4_quantize[layout=8x4]@sm_90a");

// nvfp4_quantize, but with an entry function that no template has.
const fourge::OpDefinition& broken_op() {
  static const fourge::OpDefinition op = [] {
    auto copy = fourge::nvfp4_quantize_op();
    copy.entry_function = "no_such_kernel";
    return copy;
  }();
  return op;
}

}  // namespace

TEST_CASE("compiled once, then from memory, then from disk by the next Runtime", "[build]") {
  const Scratch scratch;
  std::vector<std::byte> cubin;
  {
    Runtime runtime(scratch.options());
    const auto first = runtime.build(kSpec);
    CHECK(first->origin == Origin::compiled);
    CHECK(first->spec == kSpec);
    CHECK(first->source == fourge::generate_source(kSpec));
    CHECK(first->options == fourge::compile_options(kSpec));
    CHECK(first->key.size() == 64);
    CHECK(first->key_record.find(kSpec.text_without_target()) != std::string::npos);
    REQUIRE_FALSE(first->cubin.empty());
    CHECK(runtime.build(kSpec) == first);
    const auto stats = runtime.stats();
    CHECK(stats.compiles == 1);
    CHECK(stats.memory_hits == 1);
    CHECK(stats.disk_hits == 0);
    CHECK(stats.miss_absent == 1);
    CHECK(stats.compile_nanoseconds > 0);
    cubin = first->cubin;
  }
  CHECK(scratch.files(".fourge").size() == 1);
  CHECK(scratch.files(".tmp").empty());
  Runtime runtime(scratch.options());
  const auto again = runtime.build(kSpec);
  CHECK(again->origin == Origin::disk);
  CHECK(again->cubin == cubin);
  CHECK(runtime.stats().compiles == 0);
  CHECK(runtime.stats().disk_hits == 1);
}

TEST_CASE("sixteen threads, one compile", "[build]") {
  const Scratch scratch;
  Runtime runtime(scratch.options());
  std::vector<std::shared_ptr<const fourge::Artifact>> results(16);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] { result = runtime.build(kSpec); });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  for (const auto& result : results) {
    CHECK(result == results.front());
  }
  CHECK(runtime.stats().compiles == 1);
}

TEST_CASE("without a cache directory kernels live in memory", "[build]") {
  const Scratch scratch;
  auto options = scratch.options();
  options.cache_directory.clear();
  Runtime runtime(options);
  CHECK(runtime.build(kSpec)->origin == Origin::compiled);
  runtime.build(kSpec);
  CHECK(runtime.stats().compiles == 1);
  CHECK(runtime.stats().publish_failures == 0);
}

TEST_CASE("a failed compile says everything and keeps the source", "[build]") {
  const Scratch scratch;
  Runtime runtime(scratch.options());
  const KernelSpec spec(broken_op(), fourge::Target::parse("sm_90a"));
  try {
    runtime.build(spec);
    FAIL("compiled");
  } catch (const fourge::CompileError& error) {
    const std::string what = error.what();
    CHECK(what.find(spec.text()) != std::string::npos);
    CHECK(what.find("--gpu-architecture=sm_90a") != std::string::npos);
    CHECK(what.find("no_such_kernel") != std::string::npos);
    CHECK(error.log().find("no_such_kernel") != std::string::npos);
    CHECK(what.find(error.source_path()) != std::string::npos);
    CHECK(error.source_path().find(scratch.cache()) == 0);
    CHECK(std::filesystem::file_size(error.source_path()) == fourge::generate_source(spec).size());
  }
  CHECK(runtime.stats().compile_failures == 1);
  CHECK(scratch.files(".fourge").empty());
  // The failure is not a state that sticks: a good spec still builds.
  CHECK(runtime.build(kSpec)->origin == Origin::compiled);
}

TEST_CASE("a missing NVRTC is an error that names what was searched", "[build]") {
  const Scratch scratch;
  auto options = scratch.options();
  options.nvrtc_library = "/nonexistent/libnvrtc.so.13";
  Runtime runtime(options);
  try {
    runtime.build(kSpec);
    FAIL("built without a compiler");
  } catch (const fourge::Error& error) {
    CHECK(error.kind() == fourge::ErrorKind::library_missing);
    CHECK(std::string(error.what()).find("/nonexistent/libnvrtc.so.13") != std::string::npos);
  }
}

TEST_CASE("a warm cache serves a node without NVRTC", "[build]") {
  const Scratch scratch;
  std::string key;
  std::vector<std::byte> cubin;
  {
    Runtime runtime(scratch.options());
    const auto artifact = runtime.build(kSpec);
    key = artifact->key;
    cubin = artifact->cubin;
  }
  auto options = scratch.options();
  options.nvrtc_library = "/nonexistent/libnvrtc.so.13";
  Runtime runtime(options);
  const auto artifact = runtime.build(kSpec);
  CHECK(artifact->origin == Origin::disk);
  CHECK(artifact->key == key);
  CHECK(artifact->cubin == cubin);
  CHECK(runtime.stats().disk_hits == 1);
  // Another variant is not there, and the error says both what is missing and why it cannot be made.
  try {
    runtime.build(KernelSpec::parse("nvfp4_quantize[tpc=4]@sm_90a"));
    FAIL("built without a compiler");
  } catch (const fourge::Error& error) {
    const std::string what = error.what();
    CHECK(what.find(scratch.cache()) != std::string::npos);
    CHECK(what.find("/nonexistent/libnvrtc.so.13") != std::string::npos);
  }
}

TEST_CASE("nothing is created before something is written", "[build]") {
  const Scratch scratch;
  const Runtime runtime(scratch.options());
  CHECK_FALSE(std::filesystem::exists(scratch.cache()));
}

TEST_CASE("the cache directory is private", "[build]") {
  const Scratch scratch;
  Runtime runtime(scratch.options());
  runtime.build(kSpec);
  namespace fs = std::filesystem;
  CHECK((fs::status(scratch.cache()).permissions() & fs::perms::all) == fs::perms::owner_all);
}

TEST_CASE("prepare without a driver says what is missing", "[build]") {
  const Scratch scratch;
  Runtime runtime(scratch.options());
  try {
    runtime.prepare(kSpec);
    // With a driver but no current context that is refused as well; on neither machine is a kernel
    // handed out.
    FAIL("prepared without a context");
  } catch (const fourge::Error& error) {
    const bool known = error.kind() == fourge::ErrorKind::library_missing ||
                       error.kind() == fourge::ErrorKind::unsupported ||
                       error.kind() == fourge::ErrorKind::driver;
    CHECK(known);
  }
  CHECK(runtime.stats().compiles == 0);
}
