// Whole entries of the right key whose payload is not the kernel that the key stands for: what a
// digest cannot tell. None is ever handed out; each is set aside, rebuilt and counted.
#include <fourge/runtime.hpp>

#include "cache/disk_store.hpp"
#include "runtime/cubin_check.hpp"
#include "tests/gpu/cubin_builder.hpp"
#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

#include <fstream>
#include <functional>

using fourge::KernelSpec;
using fourge::Origin;
using fourge::Runtime;
using fourge::tests::build_cubin;
using fourge::tests::BuiltCubin;
using fourge::tests::Scratch;
using Bytes = std::vector<std::byte>;

namespace {

const KernelSpec kSpec = KernelSpec::parse("nvfp4_quantize@sm_90a");

// Made-up, but with all that the spec asks for.
BuiltCubin fitting() {
  BuiltCubin cubin;
  cubin.kernel = kSpec.entry_name();
  for (const fourge::Param& param : kSpec.op().params) {
    cubin.params.push_back(
        {static_cast<std::uint16_t>(param.offset), static_cast<std::uint32_t>(param.size)});
  }
  return cubin;
}

struct Wrong {
  const char* what;
  std::function<Bytes()> payload;
  fourge::cache::MissCause cause;
  std::string says;
};

Bytes changed(const std::function<void(BuiltCubin&)>& change) {
  BuiltCubin cubin = fitting();
  change(cubin);
  return build_cubin(cubin);
}

std::vector<Wrong> wrong_payloads() {
  using fourge::cache::MissCause;
  return {
      {"another kernel", [] { return changed([](auto& c) { c.kernel = "row_amax_bf16"; }); },
       MissCause::key, "row_amax_bf16"},
      {"another target",
       [] {
         return changed([](auto& c) {
           c.target = "sm_80";
           c.number = 80;
         });
       },
       MissCause::key, "cubin is for sm_80"},
      {"the target without its suffix", [] { return changed([](auto& c) { c.target = "sm_90"; }); },
       MissCause::key, "cubin is for sm_90,"},
      {"a parameter less", [] { return changed([](auto& c) { c.params.pop_back(); }); },
       MissCause::key, "parameters; expected"},
      {"a parameter more",
       [] {
         return changed([](auto& c) {
           c.params.push_back({static_cast<std::uint16_t>(c.params.back().offset + 8), 8});
         });
       },
       MissCause::key, "parameters; expected"},
      {"a longer parameter", [] { return changed([](auto& c) { c.params[0].size *= 2; }); },
       MissCause::key, "at offset 0"},
      {"a parameter elsewhere", [] { return changed([](auto& c) { c.params[1].offset += 8; }); },
       MissCause::key, "parameter 1"},
      {"two parameters exchanged",
       [] { return changed([](auto& c) { std::swap(c.params.front(), c.params.back()); }); },
       MissCause::key, "parameter 0"},
      {"no cubin", [] { return Bytes(4000, std::byte{0x7f}); }, MissCause::corrupt,
       "not a usable cubin"},
      {"nothing", [] { return Bytes(); }, MissCause::corrupt, "not a usable cubin"},
  };
}

fourge::cache::CacheKey key_in(const fourge::Artifact& artifact, const std::string& request_hex) {
  return {*fourge::cache::Digest::from_hex(request_hex),
          *fourge::cache::Digest::from_hex(artifact.key), artifact.key_record};
}

struct Built {
  fourge::cache::CacheKey key;
  Bytes cubin;
};

// Compiles the spec into the scratch cache and reads the key of its entry back.
Built build_once(const Scratch& scratch) {
  Runtime runtime(scratch.options());
  const auto artifact = runtime.build(kSpec);
  fourge::cache::DiskStore store(scratch.cache());
  for (const auto& entry : store.list()) {
    if (entry.key_hex == artifact->key) {
      std::ifstream file(entry.path, std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(file), {}};
      const auto parsed =
          fourge::cache::parse_entry(std::as_bytes(std::span(bytes)), nullptr).entry;
      REQUIRE(parsed);
      return {key_in(*artifact, parsed->request_hex), artifact->cubin};
    }
  }
  FAIL("no entry was published");
  return {};
}

std::size_t quarantined(const Scratch& scratch, const std::string& cause) {
  std::size_t count = 0;
  const std::string directory = fourge::cache::DiskStore(scratch.cache()).quarantine_directory();
  if (!std::filesystem::exists(directory)) return 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    count +=
        entry.path().filename().string().find("." + cause + ".") != std::string::npos ? 1U : 0U;
  }
  return count;
}

}  // namespace

TEST_CASE("the made-up cubin with all that the spec asks for is accepted", "[binding]") {
  const auto kernel = fourge::require_kernel(kSpec, kSpec.entry_name(), build_cubin(fitting()));
  CHECK(kernel.name == kSpec.entry_name());
  fourge::cache::Entry entry;
  entry.payload = build_cubin(fitting());
  CHECK_FALSE(fourge::cubin_check(kSpec)(entry));
}

TEST_CASE("each wrong payload is refused by what is wrong", "[binding]") {
  for (const Wrong& wrong : wrong_payloads()) {
    INFO(wrong.what);
    fourge::cache::Entry entry;
    entry.payload = wrong.payload();
    const auto refusal = fourge::cubin_check(kSpec)(entry);
    REQUIRE(refusal);
    CHECK(refusal->cause == wrong.cause);
    INFO(refusal->detail);
    CHECK(refusal->detail.find(wrong.says) != std::string::npos);
    CHECK_THROWS_AS(fourge::require_kernel(kSpec, kSpec.entry_name(), entry.payload),
                    fourge::Error);
  }
}

TEST_CASE("a good entry with a wrong payload is never handed out", "[binding][nvrtc]") {
  const Scratch scratch;
  const Built good = build_once(scratch);
  fourge::cache::DiskStore store(scratch.cache());
  std::size_t by_key = 0;
  std::size_t corrupt = 0;
  for (const Wrong& wrong : wrong_payloads()) {
    INFO(wrong.what);
    REQUIRE(store.publish(good.key, wrong.payload()).ok);
    REQUIRE(store.lookup(good.key).entry);  // digest and key are right
    fourge::tests::LogLines log;
    auto options = scratch.options();
    options.log = log.sink();
    Runtime runtime(options);
    const auto artifact = runtime.build(kSpec);
    CHECK(artifact->origin == Origin::compiled);
    CHECK(artifact->cubin == good.cubin);
    CHECK(runtime.stats().heals == 1);
    CHECK(runtime.stats().disk_hits == 0);
    const bool is_key = wrong.cause == fourge::cache::MissCause::key;
    CHECK(runtime.stats().miss_key == (is_key ? 1 : 0));
    CHECK(runtime.stats().miss_corrupt == (is_key ? 0 : 1));
    CHECK(log.all().find(wrong.says) != std::string::npos);
    ++(is_key ? by_key : corrupt);
    CHECK(quarantined(scratch, "key") == by_key);
    CHECK(quarantined(scratch, "corrupt") == corrupt);
    REQUIRE(store.lookup(good.key).entry);
    CHECK(store.lookup(good.key).entry->payload == good.cubin);
  }
}

TEST_CASE("the real cubin of another spec under this key is never handed out", "[binding][nvrtc]") {
  const Scratch scratch;
  const Built good = build_once(scratch);
  fourge::cache::DiskStore store(scratch.cache());
  for (const char* other : {"nvfp4_quantize[tpc=2]@sm_90a", "nvfp4_quantize@sm_90",
                            "nvfp4_quantize@sm_100a", "row_amax@sm_90a"}) {
    INFO(other);
    Runtime runtime(scratch.options());
    const auto wrong = runtime.build(KernelSpec::parse(other));
    REQUIRE(store.publish(good.key, wrong->cubin).ok);
    const auto artifact = runtime.build(kSpec);
    CHECK(artifact->origin == Origin::compiled);
    CHECK(artifact->cubin == good.cubin);
    CHECK(runtime.stats().heals == 1);
  }
}

TEST_CASE("without a compiler a wrong payload is an error, not a kernel", "[binding][nvrtc]") {
  const Scratch scratch;
  const Built good = build_once(scratch);
  auto options = scratch.options();
  options.nvrtc_library = "/nonexistent/libnvrtc.so.13";
  CHECK(Runtime(options).build(kSpec)->cubin == good.cubin);
  fourge::cache::DiskStore store(scratch.cache());
  REQUIRE(store.publish(good.key, wrong_payloads().front().payload()).ok);
  CHECK_THROWS_AS(Runtime(options).build(kSpec), fourge::Error);
}

TEST_CASE("a read-only tier's wrong payload is passed over and not promoted", "[binding][nvrtc]") {
  const Scratch scratch;
  const Built good = build_once(scratch);
  fourge::cache::DiskStore below(scratch.path() + "/below");
  REQUIRE(below.publish(good.key, wrong_payloads().front().payload()).ok);
  auto options = scratch.options();
  options.cache_directory = scratch.path() + "/other";
  options.cache_read_only = {scratch.path() + "/below"};
  {
    Runtime runtime(options);
    CHECK(runtime.build(kSpec)->origin == Origin::compiled);
    CHECK(runtime.build(kSpec)->cubin == good.cubin);
    CHECK(runtime.stats().miss_key == 1);  // though asked before and after the lock
    CHECK(runtime.stats().promotions == 0);
  }
  CHECK(below.lookup(good.key).entry);  // not ours to move
  // The next tier below has it.
  options.cache_directory = scratch.path() + "/third";
  options.cache_read_only.push_back(scratch.cache());
  Runtime runtime(options);
  CHECK(runtime.build(kSpec)->origin == Origin::disk);
  CHECK(runtime.build(kSpec)->cubin == good.cubin);
}
