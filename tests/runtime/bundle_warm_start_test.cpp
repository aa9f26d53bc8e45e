// A node that has neither NVRTC nor a toolkit, and a bundle or a baked cache. A program of its own:
// no other test may have loaded NVRTC into the process.
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/runtime.hpp>

#include "cache/bundle_writer.hpp"
#include "cache/disk_store.hpp"
#include "cache/signature.hpp"
#include "runtime/artifact_builder.hpp"
#include "tests/gpu/cubin_builder.hpp"
#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

#include <sys/stat.h>
#include <fstream>
#include <iterator>

using namespace fourge;
using fourge::tests::LogLines;
using fourge::tests::Scratch;

namespace {

const KernelSpec kSpec = KernelSpec::parse("nvfp4_quantize[layout=8x4]@sm_90a");
const KernelSpec kOther = KernelSpec::parse("nvfp4_quantize[tpc=4]@sm_90a");

// As a machine with some NVRTC would have filled it; the code in it does not matter here.
std::vector<std::byte> cubin_of(const KernelSpec& spec) {
  fourge::tests::BuiltCubin cubin;
  cubin.kernel = spec.entry_name();
  for (const Param& param : spec.op().params) {
    cubin.params.push_back(
        {static_cast<std::uint16_t>(param.offset), static_cast<std::uint32_t>(param.size)});
  }
  return fourge::tests::build_cubin(cubin);
}

void fill(const std::string& root) {
  cache::DiskStore store(root);
  const auto key = make_key(kSpec, generate_source(kSpec), compile_options(kSpec), "a build id");
  REQUIRE(store.publish(key, cubin_of(kSpec)).ok);
}

std::string write_bundle(const Scratch& scratch, const cache::PrivateKey* key) {
  const std::string root = scratch.path() + "/source";
  fill(root);
  cache::DiskStore store(root);
  cache::BundleWriter writer;
  for (const cache::EntryInfo& entry : store.list()) {
    writer.add(entry.path);
  }
  const std::string path = scratch.path() + "/fleet.fourge";
  std::ofstream file(path, std::ios::binary);
  writer.write(
      [&](std::span<const std::byte> bytes) {
        file.write(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size()));
      },
      key);
  file.close();
  REQUIRE(::chmod(path.c_str(), 0644) == 0);
  std::filesystem::remove_all(root);
  return path;
}

Options without_toolkit(const Scratch& scratch, const std::string& read_only) {
  Options options;
  options.runtime_directory = scratch.path() + "/run";
  options.nvrtc_library = "/nonexistent/libnvrtc.so.13";
  options.cache_read_only = {read_only};
  return options;
}

bool nvrtc_is_loaded() {
  std::ifstream maps("/proc/self/maps");
  const std::string text{std::istreambuf_iterator<char>(maps), std::istreambuf_iterator<char>()};
  return text.find("libnvrtc") != std::string::npos;
}

std::string refusal(Runtime& runtime, const KernelSpec& spec) {
  try {
    runtime.build(spec);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::library_missing);
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("warm start from a bundle, without NVRTC and without a cache directory", "[bundle]") {
  const Scratch scratch;
  const std::string path = write_bundle(scratch, nullptr);
  Runtime runtime(without_toolkit(scratch, path));
  const auto artifact = runtime.build(kSpec);
  CHECK(artifact->origin == Origin::disk);
  CHECK(artifact->tier == path);
  CHECK(artifact->cubin == cubin_of(kSpec));
  CHECK(artifact->key_record.find("a build id") != std::string::npos);
  CHECK(runtime.stats().disk_hits == 1);
  CHECK(runtime.stats().bundle_hits == 1);
  CHECK(runtime.stats().read_only_hits == 0);
  CHECK(runtime.stats().promotions == 0);
  CHECK(runtime.stats().compiles == 0);
  const std::string why = refusal(runtime, kOther);
  CHECK(why.find(path) != std::string::npos);
  CHECK(why.find("/nonexistent/libnvrtc.so.13") != std::string::npos);
  CHECK_FALSE(nvrtc_is_loaded());
}

TEST_CASE("warm start from a baked directory, promoted into the cache directory", "[bundle]") {
  const Scratch scratch;
  const std::string baked = scratch.path() + "/baked";
  fill(baked);
  Options options = without_toolkit(scratch, baked);
  options.cache_directory = scratch.cache();
  {
    Runtime runtime(options);
    CHECK_FALSE(std::filesystem::exists(scratch.cache()));
    CHECK(runtime.build(kSpec)->tier == baked);
    CHECK(runtime.stats().read_only_hits == 1);
    CHECK(runtime.stats().promotions == 1);
  }
  CHECK(scratch.files(".fourge").size() == 1);
  std::filesystem::remove_all(baked);
  Runtime runtime(options);
  CHECK(runtime.build(kSpec)->tier == scratch.cache());
  CHECK(runtime.stats().read_only_hits == 0);
  CHECK_FALSE(nvrtc_is_loaded());
}

TEST_CASE("a bad entry of a read-only tier is a miss with a cause and one warning", "[bundle]") {
  const Scratch scratch;
  const std::string baked = scratch.path() + "/baked";
  fill(baked);
  const std::string entry = cache::DiskStore(baked).list().at(0).path;
  std::filesystem::resize_file(entry, std::filesystem::file_size(entry) - 1);
  LogLines log;
  Options options = without_toolkit(scratch, baked);
  options.log = log.sink();
  Runtime runtime(options);
  CHECK(refusal(runtime, kSpec).find(entry) != std::string::npos);
  CHECK(runtime.stats().miss_corrupt == 1);
  refusal(runtime, kSpec);
  CHECK(log.count(LogLevel::warn) == 1);
  CHECK(std::filesystem::exists(entry));
}

TEST_CASE("with a public key, only a bundle that it signed is used", "[bundle]") {
  const Scratch scratch;
  const cache::PrivateKey key = cache::PrivateKey::generate();
  const std::string unsigned_path = write_bundle(scratch, nullptr);
  Options options = without_toolkit(scratch, unsigned_path);
  options.bundle_public_key = key.public_pem();
  {
    Runtime runtime(options);
    CHECK(refusal(runtime, kSpec).find("not signed") != std::string::npos);
  }
  const cache::PrivateKey stranger = cache::PrivateKey::generate();
  write_bundle(scratch, &stranger);
  {
    Runtime runtime(options);
    CHECK(refusal(runtime, kSpec).find("signature") != std::string::npos);
  }
  write_bundle(scratch, &key);
  {
    Runtime runtime(options);
    CHECK(runtime.build(kSpec)->cubin == cubin_of(kSpec));
  }
  // The key in a file.
  std::ofstream(scratch.path() + "/public.pem") << key.public_pem();
  options.bundle_public_key = scratch.path() + "/public.pem";
  Runtime runtime(options);
  CHECK(runtime.build(kSpec)->cubin == cubin_of(kSpec));
  CHECK_FALSE(nvrtc_is_loaded());
}
