// Every legal variant compiles, without a warning, for every target (a sample of them, but in a full run); none of them accesses local memory;
// the E2M1 conversion instruction is there exactly on the targets that have it, bulk copies in the variants that are
// made of them; shuffles name all lanes. Sources are hermetic: NVRTC gets no include path and no header at all.
#include <fourge/kernel_spec.hpp>

#include "jit/cubin.hpp"
#include "tests/jit/jit_support.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/variant_sample.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string>

using fourge::KernelSpec;
using fourge::Target;

namespace {

constexpr const char* kCvtE2m1 = "cvt.rn.satfinite.e2m1x2.f32";
constexpr const char* kCvtE4m3 = "cvt.rn.satfinite.e4m3x2.f32";

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

constexpr std::size_t kMostOfOp = 60;
constexpr std::uint64_t kSeed = 5;

// nvfp4_quantize in its plain form for one target without and one with the conversion instruction:
// always compiled whole.
bool is_plain(const KernelSpec& spec) {
  return spec.op().name == "nvfp4_quantize" && spec.get("4over6") == "off" &&
         spec.get("scale") == "tensor" && spec.get("in") != "e4m3" &&
         (spec.target().text() == "sm_90a" || spec.target().text() == "sm_100a");
}

// FOURGE_FULL_BUT=OPERATION,...: of these a full run takes the sample only.
bool is_left_to_sample(const fourge::OpDefinition& op) {
  const char* names = std::getenv("FOURGE_FULL_BUT");
  return names != nullptr &&
         has("," + std::string(names) + ",", ("," + std::string(op.name) + ",").c_str());
}

// All pairs of axis values and targets; where these are many, targets of the same features count as one.
std::vector<KernelSpec> sample_of(const std::vector<KernelSpec>& all) {
  auto sample = fourge::tests::pairwise_sample(all, kSeed);
  return sample.size() <= kMostOfOp
             ? sample
             : fourge::tests::pairwise_sample(all, kSeed, fourge::tests::SampleTargets::features);
}

// Beside the plain form a sample over the variants and targets of each operation; everything in a full run.
const std::vector<KernelSpec>& chosen() {
  static const auto specs = [] {
    std::vector<KernelSpec> list;
    for (const auto* op : fourge::all_ops()) {
      const auto all = fourge::tests::variants_for(*op, Target::all());
      const bool whole =
          all.size() <= kMostOfOp || (fourge::tests::full_run() && !is_left_to_sample(*op));
      const auto some = whole ? all : sample_of(all);
      const bool sample = some.size() < all.size();
      std::copy_if(all.begin(), all.end(), std::back_inserter(list),
                   [&](const KernelSpec& spec) { return sample && is_plain(spec); });
      std::copy_if(some.begin(), some.end(), std::back_inserter(list),
                   [&](const KernelSpec& spec) { return !sample || !is_plain(spec); });
    }
    return list;
  }();
  return specs;
}

// Neither a spill nor an array that is indexed at run time: no frame, and no such instruction (LDL, STL),
// which the cubin's reader recognises by their opcodes.
void check_local_memory(const fourge::jit::CubinKernel& kernel) {
  CHECK(kernel.frame_bytes == 0);
  CHECK(kernel.local_loads == 0);
  CHECK(kernel.local_stores == 0);
}

bool encodes_e2m1(const KernelSpec& spec) {
  const std::string name(spec.op().name);
  const bool by_axis = ((has(name, "rmsnorm_quantize") || name == "moe_activation_quantize") &&
                        spec.get("out") == "nvfp4") ||
                       (name == "moe_expand_quantize" && spec.get("format") == "nvfp4");
  return by_axis || has(name, "fp4_quantize");
}

// Whether it has the copy engine bring rows to shared memory.
bool copies_in_bulk(const KernelSpec& spec) {
  const auto& name = spec.op().name;
  return (name == "rmsnorm_quantize" &&
          (spec.get("row").ends_with("x2") || spec.get("row") == "copied")) ||
         (name == "moe_permute" && spec.get("by") == "token") ||
         (name == "nvfp4_quantize_per_token" && spec.get("row") == "copied");
}

// Shuffles whose mask is not all lanes, as a constant or in a register: the compiler would look for lanes with equal
// masks, or the hardware take them one group after another (device/octet.cuh).
std::size_t shuffles_of_some_lanes(const std::string& ptx) {
  std::size_t count = 0;
  for (std::size_t at = ptx.find("shfl.sync."); at != std::string::npos;
       at = ptx.find("shfl.sync.", at + 1)) {
    const std::string line = ptx.substr(at, ptx.find(';', at) - at);
    const std::string mask = line.substr(line.rfind(' ') + 1);
    const bool all = mask == "-1" || has(ptx, ("mov.u32 \t" + mask + ", -1;").c_str()) ||
                     has(ptx, ("mov.b32 \t" + mask + ", -1;").c_str());
    count += all ? 0U : 1U;
  }
  return count;
}

void check_ptx(const KernelSpec& spec, const std::string& ptx) {
  const fourge::Target target = spec.target();
  const auto& features = target.features();
  REQUIRE(has(ptx, spec.entry_name().c_str()));
  CHECK(has(ptx, kCvtE2m1) == (features.cvt_e2m1 && encodes_e2m1(spec)));
  CHECK_FALSE((has(ptx, kCvtE4m3) && !features.cvt_e4m3));
  CHECK_FALSE((has(ptx, "ld.global.nc.v8.b32") && !features.load_256));
  CHECK(has(ptx, "cp.async.bulk.shared::cluster.global.mbarrier") == copies_in_bulk(spec));
  CHECK(has(ptx, "cp.async.bulk.global.shared::cta.bulk_group.L2::cache_hint") ==
        (copies_in_bulk(spec) && spec.op().name == "moe_permute"));
  CHECK_FALSE(has(ptx, "fma.rn.f32"));  // contraction or a missing flush
  CHECK_FALSE(has(ptx, "mul.f32"));
  CHECK(shuffles_of_some_lanes(ptx) == 0);
  // A constant that became a variable of the module makes its loading several times as long (docs/jit_speed.md).
  CHECK_FALSE(has(ptx, "\n.global"));
}

std::size_t compiled = 0;  // by this process

void check_target(const char* text) {
  const Target target = Target::parse(text);
  std::size_t count = 0;
  for (const KernelSpec& spec : chosen()) {
    if (!(spec.target() == target)) {
      continue;
    }
    ++count;
    if (!fourge::tests::own_part(count)) {
      continue;
    }
    ++compiled;
    INFO(spec.text());
    const auto output = fourge::tests::compile(spec);
    REQUIRE(output.ok);
    CHECK(output.log == "");
    const auto info = fourge::jit::parse_cubin(output.cubin);
    REQUIRE(info.kernels.size() == 1);
    CHECK(info.kernels[0].name == spec.entry_name());
    check_local_memory(info.kernels[0]);
    CHECK(info.kernels[0].loads_before_wait == 0);
    check_ptx(spec, output.ptx);
  }
  CHECK(count >= fourge::all_ops().size());
}

}  // namespace

TEST_CASE("every variant compiles for sm_80", "[first]") { check_target("sm_80"); }
TEST_CASE("every variant compiles for sm_86", "[first]") { check_target("sm_86"); }
TEST_CASE("every variant compiles for sm_89", "[first]") { check_target("sm_89"); }
TEST_CASE("every variant compiles for sm_90", "[second]") { check_target("sm_90"); }
TEST_CASE("every variant compiles for sm_90a", "[second]") { check_target("sm_90a"); }
TEST_CASE("every variant compiles for sm_100", "[first]") { check_target("sm_100"); }
TEST_CASE("every variant compiles for sm_100a", "[second]") { check_target("sm_100a"); }
TEST_CASE("every variant compiles for sm_100f", "[second]") { check_target("sm_100f"); }
TEST_CASE("every variant compiles for sm_103a", "[second]") { check_target("sm_103a"); }
TEST_CASE("every variant compiles for sm_110a", "[second]") { check_target("sm_110a"); }
TEST_CASE("every variant compiles for sm_120", "[first]") { check_target("sm_120"); }
TEST_CASE("every variant compiles for sm_120a", "[second]") { check_target("sm_120a"); }
TEST_CASE("every variant compiles for sm_120f", "[second]") { check_target("sm_120f"); }
TEST_CASE("every variant compiles for sm_121a", "[second]") { check_target("sm_121a"); }

TEST_CASE("shuffles with a mask of some lanes are seen", "[first]") {
  CHECK(shuffles_of_some_lanes("shfl.sync.bfly.b32 %r3|%p1, %r2, 1, 31, -1;\nadd.s32 %r1, 1;") ==
        0);
  CHECK(shuffles_of_some_lanes("mov.u32 \t%r7, -1;\n"
                               "shfl.sync.idx.b32 %r3|%p1, %r2, 0, 31, %r7;") == 0);
  CHECK(shuffles_of_some_lanes("mov.u32 \t%r77, -1;\nmov.u32 \t%r7, 15;\n"
                               "shfl.sync.idx.b32 %r3|%p1, %r2, 0, 31, %r7;") == 1);
  CHECK(shuffles_of_some_lanes("shfl.sync.bfly.b32 %r3|%p1, %r2, 1, 31, %r7;\n"
                               "shfl.sync.idx.b32 %r4|%p1, %r2, 0, 31, -1;\n"
                               "shfl.sync.bfly.b32 %r5|%p1, %r2, 1, 31, 15;") == 2);
}

TEST_CASE("the cases above are all targets", "[first]") {
  CHECK(Target::all().size() == 14);
  WARN(compiled << " of " << chosen().size() << " variants compiled here (seed " << kSeed << ")");
}
