// Whatever happens to the files of the cache, the kernel that comes out is the right one.
#include <fourge/error.hpp>
#include <fourge/runtime.hpp>

#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <fstream>
#include <random>

using fourge::KernelSpec;
using fourge::LogLevel;
using fourge::Origin;
using fourge::Runtime;
using fourge::tests::LogLines;
using fourge::tests::Scratch;

namespace {

const KernelSpec kSpec = KernelSpec::parse("nvfp4_quantize@sm_90a");

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

struct GoodEntry {
  std::filesystem::path path;
  std::string bytes;
  std::vector<std::byte> cubin;
};

GoodEntry make_entry(const Scratch& scratch) {
  Runtime runtime(scratch.options());
  const auto cubin = runtime.build(kSpec)->cubin;
  const auto files = scratch.files(".fourge");
  REQUIRE(files.size() == 1);
  return {files.front(), read(files.front()), cubin};
}

// Reads the present state of the cache: the right cubin must come out, by a rebuild.
void check_rebuilt(const Scratch& scratch, const GoodEntry& good) {
  Runtime runtime(scratch.options());
  const auto artifact = runtime.build(kSpec);
  CHECK(artifact->cubin == good.cubin);
  CHECK(artifact->origin == Origin::compiled);
  CHECK(runtime.stats().heals == 1);
  CHECK(read(good.path) == good.bytes);
}

}  // namespace

TEST_CASE("a flipped byte is never used and the entry is rebuilt", "[faults]") {
  const Scratch scratch;
  const GoodEntry good = make_entry(scratch);
  std::mt19937 random(11);
  // Every single byte is flipped in the entry's unit tests; here some go the whole way.
  for (int i = 0; i < 12; ++i) {
    std::string bad = good.bytes;
    const std::size_t at = random() % bad.size();
    bad[at] = static_cast<char>(bad[at] ^ (1 << (random() % 8)));
    write(good.path, bad);
    INFO("byte " << at);
    check_rebuilt(scratch, good);
  }
}

TEST_CASE("a file cut at any length is never used and the entry is rebuilt", "[faults]") {
  const Scratch scratch;
  const GoodEntry good = make_entry(scratch);
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{40},
                                   good.bytes.size() / 2, good.bytes.size() - 1}) {
    write(good.path, good.bytes.substr(0, length));
    INFO("length " << length);
    check_rebuilt(scratch, good);
  }
  write(good.path, good.bytes + "x");
  check_rebuilt(scratch, good);
}

TEST_CASE("another kernel's entry under this name is not used", "[faults]") {
  const Scratch scratch;
  const GoodEntry good = make_entry(scratch);
  Runtime other(scratch.options());
  other.build(KernelSpec::parse("nvfp4_quantize[tpc=2]@sm_90a"));
  for (const auto& file : scratch.files(".fourge")) {
    if (file != good.path) {
      std::filesystem::copy_file(file, good.path,
                                 std::filesystem::copy_options::overwrite_existing);
    }
  }
  REQUIRE(read(good.path) != good.bytes);
  Runtime runtime(scratch.options());
  CHECK(runtime.build(kSpec)->cubin == good.cubin);
  CHECK(runtime.stats().miss_key >= 1);
  CHECK(read(good.path) == good.bytes);
}

TEST_CASE("an entry that is no file is a miss", "[faults]") {
  const Scratch scratch;
  const GoodEntry good = make_entry(scratch);
  std::filesystem::remove(good.path);
  SECTION("a directory") { std::filesystem::create_directory(good.path); }
  SECTION("a dangling link") { std::filesystem::create_symlink("/nonexistent", good.path); }
  SECTION("a pipe") { REQUIRE(mkfifo(good.path.c_str(), 0600) == 0); }
  Runtime runtime(scratch.options());
  CHECK(runtime.build(kSpec)->cubin == good.cubin);
}

TEST_CASE("a cache that cannot be written: one warning, and work goes on in memory", "[faults]") {
  const Scratch scratch;
  LogLines log;
  auto options = scratch.options();
  // A file where the directory should be stops root as well.
  write(options.cache_directory, "in the way");
  options.log = log.sink();
  Runtime runtime(options);
  const auto specs = {kSpec, KernelSpec::parse("nvfp4_quantize[tpc=2]@sm_90a")};
  for (const auto& spec : specs) {
    CHECK(runtime.build(spec)->origin == Origin::compiled);
    runtime.build(spec);
  }
  CHECK(runtime.stats().compiles == 2);
  CHECK(runtime.stats().publish_failures == 2);
  CHECK(log.count(LogLevel::warn) == 1);
  CHECK(log.all().find(options.cache_directory) != std::string::npos);
}

TEST_CASE("without a usable lock directory everything still works", "[faults]") {
  const Scratch scratch;
  auto options = scratch.options();
  std::filesystem::remove(options.runtime_directory);
  write(options.runtime_directory, "in the way");
  Runtime runtime(options);
  CHECK(runtime.build(kSpec)->origin == Origin::compiled);
  CHECK(scratch.files(".fourge").size() == 1);
}

TEST_CASE("a cache that others may write is not used, is warned of once and stays", "[faults]") {
  const Scratch scratch;
  const GoodEntry good = make_entry(scratch);
  REQUIRE(chmod(scratch.cache().c_str(), 0777) == 0);
  LogLines log;
  auto options = scratch.options();
  options.log = log.sink();
  Runtime runtime(options);
  CHECK(runtime.build(kSpec)->origin == Origin::compiled);
  CHECK(runtime.build(KernelSpec::parse("nvfp4_quantize[tpc=2]@sm_90a"))->origin ==
        Origin::compiled);
  CHECK(log.count(LogLevel::warn) == 1);
  CHECK(log.all().find("mode 0777") != std::string::npos);
  CHECK(log.all().find("chmod") != std::string::npos);
  CHECK(read(good.path) == good.bytes);
  CHECK(scratch.files(".fourge").size() == 1);

  REQUIRE(chmod(scratch.cache().c_str(), 0770) == 0);
  options.trusted_group = std::to_string(getegid());
  CHECK(Runtime(options).build(kSpec)->origin == Origin::disk);
}

TEST_CASE("a group that does not exist is an error, not a private cache", "[faults]") {
  const Scratch scratch;
  auto options = scratch.options();
  options.trusted_group = "no such group";
  try {
    Runtime runtime(options);
    runtime.build(kSpec);
    FAIL("the group was accepted");
  } catch (const fourge::Error& error) {
    CHECK(error.kind() == fourge::ErrorKind::invalid_argument);
    CHECK(std::string(error.what()).find("no such group") != std::string::npos);
  }
}

TEST_CASE("a cache that vanishes in the middle is made again, without a warning", "[faults]") {
  const Scratch scratch;
  const auto spec = KernelSpec::parse("global_scale@sm_90a");
  LogLines log;
  auto options = scratch.options();
  options.log = log.sink();
  Runtime runtime(options);
  const auto first = runtime.build(spec);
  std::filesystem::remove_all(scratch.cache());
  CHECK(runtime.build(spec)->cubin == first->cubin);
  CHECK(runtime.build(KernelSpec::parse("mxfp8_dequantize@sm_90a"))->origin == Origin::compiled);
  CHECK(scratch.files(".fourge").size() == 1);
  CHECK(log.count(LogLevel::warn) == 0);
  CHECK(Runtime(options).build(spec)->cubin == first->cubin);
}
