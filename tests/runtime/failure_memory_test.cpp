// What does not compile is remembered, for a while, in the cache directory.
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/runtime.hpp>

#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

#include <fstream>
#include <iterator>
#include <thread>

using fourge::KernelSpec;
using fourge::Runtime;
using fourge::tests::Scratch;

namespace {

// nvfp4_quantize, but with an entry function that no template has.
KernelSpec broken_spec() {
  static const fourge::OpDefinition op = [] {
    auto copy = fourge::nvfp4_quantize_op();
    copy.entry_function = "no_such_kernel";
    return copy;
  }();
  return KernelSpec(op, fourge::Target::parse("sm_90a"));
}

struct Failed {
  std::string what;
  std::string log;
};

Failed fail(Runtime& runtime) {
  try {
    runtime.build(broken_spec());
  } catch (const fourge::CompileError& error) {
    return {error.what(), error.log()};
  }
  FAIL("compiled");
  return {};
}

}  // namespace

TEST_CASE("a second Runtime does not try again what did not compile, and says the same",
          "[failures]") {
  const Scratch scratch;
  Runtime first(scratch.options());
  const Failed original = fail(first);
  CHECK(original.what.find("remembered") == std::string::npos);
  CHECK(scratch.files(".failed").size() == 1);
  CHECK(scratch.files(".tmp").empty());

  Runtime second(scratch.options());
  const Failed remembered = fail(second);
  CHECK(remembered.log == original.log);
  CHECK(remembered.what.rfind(original.what, 0) == 0);
  CHECK(remembered.what.find("remembered since 20") != std::string::npos);
  CHECK(remembered.what.find("--retry-failed") != std::string::npos);
  CHECK(second.stats().compile_failures == 0);
  CHECK(second.stats().remembered_failures == 1);
}

TEST_CASE("a failure is forgotten with time, when it is off, and tried once more when asked",
          "[failures]") {
  const Scratch scratch;
  auto options = scratch.options();
  Runtime first(options);
  fail(first);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  SECTION("time") { options.failure_memory = std::chrono::seconds(1); }
  SECTION("off") { options.failure_memory = std::chrono::seconds(0); }
  SECTION("asked") { options.retry_failed = true; }
  Runtime second(options);
  fail(second);
  CHECK(second.stats().compile_failures == 1);
  CHECK(second.stats().remembered_failures == 0);
  if (options.failure_memory.count() != 0) {
    fail(second);
    CHECK(second.stats().compile_failures == 1);  // it is remembered anew
    CHECK(second.stats().remembered_failures == 1);
  }
}

TEST_CASE("a damaged or foreign record of a failure is not believed", "[failures]") {
  const Scratch scratch;
  Runtime first(scratch.options());
  fail(first);
  const auto files = scratch.files(".failed");
  REQUIRE(files.size() == 1);
  std::string bytes;
  {
    std::ifstream file(files.front(), std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  SECTION("a flipped byte") {
    bytes[bytes.size() - 3] = static_cast<char>(bytes[bytes.size() - 3] ^ 1);
  }
  SECTION("cut") { bytes.resize(bytes.size() / 2); }
  SECTION("empty") { bytes.clear(); }
  std::ofstream(files.front(), std::ios::binary | std::ios::trunc) << bytes;
  Runtime second(scratch.options());
  fail(second);
  CHECK(second.stats().compile_failures == 1);
}

TEST_CASE("a Runtime compiles in turn with others when there is one slot", "[failures]") {
  const Scratch scratch;
  auto options = scratch.options();
  options.compile_slots = 1;
  Runtime runtime(options);
  std::vector<std::thread> threads;
  for (const char* text : {"nvfp4_quantize[tpc=1]@sm_90a", "nvfp4_quantize[tpc=2]@sm_90a",
                           "nvfp4_quantize[tpc=4]@sm_90a"}) {
    threads.emplace_back([&runtime, text] { runtime.build(KernelSpec::parse(text)); });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  CHECK(runtime.stats().compiles == 3);
  CHECK(std::filesystem::is_empty(scratch.path() + "/run/fourge"));
}
