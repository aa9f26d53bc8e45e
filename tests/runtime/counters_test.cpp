// What a Runtime counts, and what of it lies on disk while it lives and afterwards.
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/runtime.hpp>

#include "cache/disk_counters.hpp"
#include "cache/disk_store.hpp"
#include "cache/evictor.hpp"
#include "runtime/artifact_builder.hpp"
#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

#include <unistd.h>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

using fourge::KernelSpec;
using fourge::Options;
using fourge::Runtime;
using fourge::cache::CounterId;
using fourge::cache::CounterValues;
using fourge::tests::Scratch;

namespace {

const KernelSpec kSpec = KernelSpec::parse("global_scale@sm_90a");
const KernelSpec kOther = KernelSpec::parse("mxfp8_dequantize@sm_90a");
constexpr const char* kNoLibrary = "/nonexistent/libnvrtc.so.13";

CounterValues on_disk(const Scratch& scratch) {
  return fourge::cache::DiskCounters(scratch.cache()).totals().values;
}

KernelSpec broken_spec() {
  static const fourge::OpDefinition op = [] {
    auto copy = fourge::nvfp4_quantize_op();
    copy.entry_function = "no_such_kernel";
    return copy;
  }();
  return KernelSpec(op, fourge::Target::parse("sm_90a"));
}

}  // namespace

TEST_CASE("a compile is on disk while its Runtime lives, and is one miss", "[counters]") {
  const Scratch scratch;
  Runtime runtime(scratch.options());
  runtime.build(kSpec);
  const CounterValues kept = on_disk(scratch);
  CHECK(kept[CounterId::compiles] == 1);
  CHECK(kept[CounterId::miss_absent] == 1);
  CHECK(kept[CounterId::compile_nanoseconds] > 0);
  CHECK(kept[CounterId::lookup_nanoseconds] > 0);
  CHECK(kept[CounterId::bytes_written] > 0);
  CHECK(runtime.stats().miss_absent == 1);
  CHECK(runtime.stats().bytes_written == kept[CounterId::bytes_written]);
}

TEST_CASE("failed compiles, remembered ones too, are counted on disk", "[counters]") {
  const Scratch scratch;
  {
    Runtime first(scratch.options());
    CHECK_THROWS_AS(first.build(broken_spec()), fourge::CompileError);
    CHECK(on_disk(scratch)[CounterId::compile_failures] == 1);
    Runtime second(scratch.options());
    CHECK_THROWS_AS(second.build(broken_spec()), fourge::CompileError);
  }
  const CounterValues kept = on_disk(scratch);
  CHECK(kept[CounterId::compile_failures] == 1);
  CHECK(kept[CounterId::remembered_failures] == 1);
  CHECK(kept[CounterId::miss_absent] == 2);
  CHECK(kept[CounterId::compiles] == 0);
}

TEST_CASE("a Runtime without a compiler counts, too", "[counters]") {
  const Scratch scratch;
  Runtime(scratch.options()).build(kSpec);
  fourge::cache::DiskCounters(scratch.cache()).flush();
  const CounterValues before = on_disk(scratch);
  Options options = scratch.options();
  options.nvrtc_library = kNoLibrary;
  {
    Runtime runtime(options);
    runtime.build(kSpec);
    CHECK_THROWS_AS(runtime.build(kOther), fourge::Error);
    CHECK(runtime.stats().disk_hits == 1);
    CHECK(runtime.stats().miss_absent == 1);
    CHECK(runtime.stats().lookup_nanoseconds > 0);
  }
  const CounterValues kept = on_disk(scratch);
  CHECK(kept[CounterId::local_hits] == before[CounterId::local_hits] + 1);
  CHECK(kept[CounterId::miss_absent] == before[CounterId::miss_absent] + 1);
  CHECK(kept[CounterId::lookup_nanoseconds] > before[CounterId::lookup_nanoseconds]);
}

TEST_CASE("without a cache directory misses are counted and nothing is kept", "[counters]") {
  const Scratch scratch;
  Options options = scratch.options();
  options.cache_directory.clear();
  options.nvrtc_library = kNoLibrary;
  {
    Runtime runtime(options);
    CHECK_THROWS_AS(runtime.build(kSpec), fourge::Error);
    CHECK(runtime.stats().miss_disabled == 1);
    CHECK(runtime.stats().miss_absent == 0);
  }
  options.cache_read_only = {scratch.path() + "/lower", scratch.path() + "/lower.fourge"};
  Runtime runtime(options);
  CHECK_THROWS_AS(runtime.build(kSpec), fourge::Error);
  CHECK(runtime.stats().miss_disabled == 0);
  CHECK(runtime.stats().miss_absent == 1);
  CHECK_FALSE(std::filesystem::exists(scratch.cache()));
}

TEST_CASE("promotions and what lower tiers gave are counted on disk", "[counters]") {
  const Scratch scratch;
  Options below = scratch.options();
  below.cache_directory = scratch.path() + "/below";
  Runtime(below).build(kSpec);
  Options options = scratch.options();
  options.cache_read_only = {below.cache_directory};
  { Runtime(options).build(kSpec); }
  const CounterValues kept = on_disk(scratch);
  CHECK(kept[CounterId::read_only_hits] == 1);
  CHECK(kept[CounterId::promotions] == 1);
  CHECK(kept[CounterId::promotion_failures] == 0);
  CHECK(kept[CounterId::miss_absent] == 1);
  CHECK(kept[CounterId::compiles] == 0);
}

TEST_CASE("what a Runtime has handed out is in use: its evictor keeps it", "[eviction]") {
  const Scratch scratch;
  Options options = scratch.options();
  options.cache_byte_limit = 100'000;
  Runtime runtime(options);
  const std::string mine = runtime.build(kSpec)->key;
  const auto files = scratch.files(".fourge");
  REQUIRE(files.size() == 1);
  const auto long_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours(100);
  std::filesystem::last_write_time(files.front(), long_ago);
  // Others, all used later, four times as much as the limit.
  fourge::cache::DiskStore store(options.cache_directory);
  fourge::cache::EvictionPolicy no_limit;
  no_limit.byte_limit = 0;
  fourge::cache::Evictor known(options.cache_directory, no_limit);
  const std::vector<std::byte> payload(10'000);
  for (int i = 0; i < 40; ++i) {
    const auto key = fourge::cache::KeyBuilder().field("spec", std::to_string(i)).finish();
    REQUIRE(store.publish(key, payload).ok);
    known.published(key, payload.size());
    std::filesystem::last_write_time(store.path_of(key), long_ago + std::chrono::hours(i + 1));
  }
  runtime.build(kOther);
  CHECK(runtime.stats().evictions >= 20);
  CHECK(scratch.files(".fourge").size() < 20);
  CHECK(std::filesystem::exists(files.front()));
  CHECK(Runtime(scratch.options()).build(kSpec)->origin == fourge::Origin::disk);
}

TEST_CASE("who waits for another's compile counts the wait and its time", "[counters]") {
  const Scratch scratch;
  const Options options = scratch.options();
  // Holds the key's lock as a process that compiles does.
  fourge::Counters counters;
  const auto key = fourge::ArtifactBuilder(options, counters).request(kSpec).key;
  fourge::cache::FlightOptions flight;
  flight.lock_directory =
      fourge::cache::default_lock_directory(options.runtime_directory, ::geteuid());
  flight.scope = options.cache_directory;
  fourge::cache::FlightActions actions;
  std::atomic<bool> held{false};
  std::atomic<bool> enough{false};
  actions.appeared = [] { return false; };
  actions.take = [] { return false; };
  actions.make = [&] {
    held = true;
    while (!enough) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    Options elsewhere = options;
    elsewhere.cache_directory = scratch.path() + "/elsewhere";
    const auto artifact = Runtime(elsewhere).build(kSpec);
    return fourge::cache::DiskStore(options.cache_directory).publish(key, artifact->cubin).ok;
  };
  std::thread holder([&] { fourge::cache::make_once(key, flight, actions); });
  while (!held) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::thread release([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    enough = true;
  });
  {
    Runtime runtime(options);
    CHECK(runtime.build(kSpec)->origin == fourge::Origin::disk);
    CHECK(runtime.stats().waits == 1);
    CHECK(runtime.stats().wait_nanoseconds > 10'000'000);
    CHECK(runtime.stats().miss_absent == 1);
  }
  holder.join();
  release.join();
  CHECK(on_disk(scratch)[CounterId::waits] == 1);
  CHECK(on_disk(scratch)[CounterId::wait_nanoseconds] > 10'000'000);
}
