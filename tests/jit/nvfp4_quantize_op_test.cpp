#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/nvfp4_quantize.hpp>

#include "tests/support/catch.hpp"

#include <cmath>
#include <functional>
#include <limits>

using fourge::Error;
using fourge::KernelSpec;
using fourge::LaunchShape;
using fourge::Nvfp4QuantizeArgs;

namespace {

// Never read: only addresses and shapes are looked at.
template <class T>
T* at(std::uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

Nvfp4QuantizeArgs good_args() {
  Nvfp4QuantizeArgs args;
  args.x = at<void>(0x1000);
  args.codes = at<std::uint8_t>(0x2000);
  args.scales = at<std::uint8_t>(0x3000);
  args.rows = 5;
  args.cols = 64;
  return args;
}

const KernelSpec kSpec = KernelSpec::parse("nvfp4_quantize[layout=128x4]@sm_90a");

std::string refusal_of(const KernelSpec& spec,
                       const std::function<void(Nvfp4QuantizeArgs&)>& change) {
  Nvfp4QuantizeArgs args = good_args();
  change(args);
  try {
    spec.op().check_args(spec, &args);
  } catch (const Error& error) {
    CHECK(error.kind() == fourge::ErrorKind::invalid_argument);
    CHECK(std::string(error.what()).find(spec.text()) == 0);
    return error.what();
  }
  return "accepted";
}

std::string refusal_of(const std::function<void(Nvfp4QuantizeArgs&)>& change) {
  return refusal_of(kSpec, change);
}

bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

LaunchShape shape_of(const char* text, std::int64_t rows, std::int64_t cols) {
  const KernelSpec spec = KernelSpec::parse(text);
  Nvfp4QuantizeArgs args = good_args();
  args.rows = rows;
  args.cols = cols;
  return spec.op().launch_shape(spec, &args, {132});
}

}  // namespace

TEST_CASE("good arguments are accepted", "[nvfp4_quantize]") {
  CHECK(refusal_of([](auto&) {}) == "accepted");
  CHECK(refusal_of([](auto& a) { a.global_scale = at<const float>(0x4000); }) == "accepted");
  // Without rows there is nothing to point to.
  CHECK(refusal_of([](auto& a) {
          a.rows = 0;
          a.x = nullptr;
          a.codes = nullptr;
          a.scales = nullptr;
        }) == "accepted");
}

TEST_CASE("bad arguments are refused by name", "[nvfp4_quantize]") {
  CHECK(mentions(refusal_of([](auto& a) { a.x = nullptr; }), "x is a null pointer"));
  CHECK(mentions(refusal_of([](auto& a) { a.codes = nullptr; }), "codes is a null pointer"));
  CHECK(mentions(refusal_of([](auto& a) { a.scales = nullptr; }), "scales is a null pointer"));
  CHECK(mentions(refusal_of([](auto& a) { a.x = at<void>(0x1010); }), "not aligned to 32 bytes"));
  CHECK(mentions(refusal_of([](auto& a) { a.codes = at<std::uint8_t>(0x2008); }),
                 "codes is 0x2008, which is not aligned to 16 bytes"));
  CHECK(mentions(refusal_of([](auto& a) { a.scales = at<std::uint8_t>(0x3001); }), "scales is"));
  CHECK(mentions(refusal_of([](auto& a) { a.global_scale = at<const float>(0x4002); }),
                 "global_scale is"));
  CHECK(mentions(refusal_of([](auto& a) { a.cols = 24; }), "cols is 24"));
  CHECK(mentions(refusal_of([](auto& a) { a.cols = 0; }), "cols is 0"));
  CHECK(mentions(refusal_of([](auto& a) { a.cols = -16; }), "cols is -16"));
  CHECK(mentions(refusal_of([](auto& a) { a.rows = -1; }), "rows is -1"));
  CHECK(mentions(refusal_of([](auto& a) { a.rows = std::int64_t{1} << 60; }), "2^47"));
  for (const float bad : {0.0F, -1.0F, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    CHECK(mentions(refusal_of([bad](auto& a) { a.global_scale_value = bad; }),
                   "must be positive and finite"));
  }
}

TEST_CASE("scales of rows lie in memory", "[nvfp4_quantize]") {
  for (const char* text :
       {"nvfp4_quantize[scale=row]@sm_90a", "nvfp4_quantize[scale=row_inv]@sm_90a"}) {
    const KernelSpec spec = KernelSpec::parse(text);
    CHECK(mentions(refusal_of(spec, [](auto&) {}), "global_scale is a null pointer"));
    CHECK(mentions(refusal_of(spec, [](auto& a) { a.global_scale = at<const float>(0x4002); }),
                   "global_scale is 0x4002"));
    CHECK(refusal_of(spec, [](auto& a) { a.rows = 0; }) == "accepted");
    // The value is not looked at.
    CHECK(refusal_of(spec, [](auto& a) {
            a.global_scale = at<const float>(0x4000);
            a.global_scale_value = 0.0F;
          }) == "accepted");
  }
}

TEST_CASE("an inverse scale must have a reciprocal", "[nvfp4_quantize]") {
  const KernelSpec spec = KernelSpec::parse("nvfp4_quantize[scale=tensor_inv]@sm_90a");
  for (const float bad :
       {0.0F, -1.0F, 1e-38F, 1e38F, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    INFO(bad);
    CHECK(mentions(refusal_of(spec, [bad](auto& a) { a.global_scale_value = bad; }),
                   "must lie between 2^-126 and 2^126"));
  }
  for (const float good : {0x1p-126F, 0.01F, 0x1p126F}) {
    CHECK(refusal_of(spec, [good](auto& a) { a.global_scale_value = good; }) == "accepted");
  }
}

TEST_CASE("batches", "[nvfp4_quantize]") {
  CHECK(mentions(refusal_of([](auto& a) { a.batches = -1; }), "batches is -1"));
  CHECK(mentions(refusal_of([](auto& a) { a.batches = std::int64_t{1} << 45; }), "2^47"));
  CHECK(refusal_of([](auto& a) { a.batches = 0; }) == "accepted");
  Nvfp4QuantizeArgs args = good_args();
  args.batches = 0;
  CHECK(kSpec.op().launch_shape(kSpec, &args, {132}).empty);
  args.batches = 70000;
  CHECK(kSpec.op().launch_shape(kSpec, &args, {132}).grid[2] == 65535);
  args.batches = 3;
  CHECK(kSpec.op().launch_shape(kSpec, &args, {132}).grid[2] == 3);
  const auto regions = kSpec.op().regions(kSpec, &args);
  CHECK(regions[0].bytes == 3 * 5 * 64 * 2);
  CHECK(regions[1].bytes == 3 * 5 * 32);
  CHECK(regions[2].bytes == 3 * 128 * 4);
}

TEST_CASE("regions follow the input's type and the scale's form", "[nvfp4_quantize]") {
  const KernelSpec spec = KernelSpec::parse("nvfp4_quantize[in=e4m3,math=fast,scale=row]@sm_90a");
  Nvfp4QuantizeArgs args = good_args();
  args.global_scale = at<const float>(0x4000);
  args.batches = 2;
  const auto regions = spec.op().regions(spec, &args);
  REQUIRE(regions.size() == 4);
  CHECK(regions[0].bytes == 2 * 5 * 64);
  CHECK(regions[3].bytes == 5 * 4);  // one for each row, not for each batch
}

TEST_CASE("E4M3 input has neither exact math nor 4over6", "[nvfp4_quantize]") {
  const auto message_of = [](const char* text) -> std::string {
    try {
      KernelSpec::parse(text).check();
    } catch (const Error& error) {
      CHECK(error.kind() == fourge::ErrorKind::invalid_spec);
      return error.what();
    }
    return "accepted";
  };
  CHECK(mentions(message_of("nvfp4_quantize[in=e4m3]@sm_90a"), "in=e4m3 has no math=exact"));
  CHECK(mentions(message_of("nvfp4_quantize[in=e4m3,math=fast,4over6=mse256]@sm_90a"),
                 "4over6=mse256 needs in=bf16 or in=f16"));
  CHECK(message_of("nvfp4_quantize[in=e4m3,math=fast]@sm_90a") == "accepted");
  CHECK(
      fourge::legal_variants(fourge::nvfp4_quantize_op(), fourge::Target::parse("sm_90a")).size() ==
      2 * 3 * 4 * 2 * 3 * 9 + 3 * 4 * 3);
}

TEST_CASE("scale buffer sizes", "[nvfp4_quantize]") {
  CHECK(fourge::nvfp4_scale_bytes("linear", 3, 48) == 9);
  CHECK(fourge::nvfp4_scale_bytes("8x4", 3, 48) == 8 * 4);
  CHECK(fourge::nvfp4_scale_bytes("128x4", 129, 80) == 256 * 8);
  CHECK(fourge::nvfp4_scale_bytes("128x4", 0, 80) == 0);
  CHECK(fourge::nvfp4_scale_bytes("linear", std::int64_t{1} << 32, 16384) ==
        (std::size_t{1} << 42));
  CHECK_THROWS_AS(fourge::nvfp4_scale_bytes("4x4", 1, 16), Error);
}

TEST_CASE("the launch covers every row and column and stays within the grid's limits",
          "[nvfp4_quantize]") {
  for (const char* text :
       {"nvfp4_quantize[layout=linear,tpc=1]@sm_90a", "nvfp4_quantize[layout=8x4,tpc=2]@sm_90a",
        "nvfp4_quantize[layout=128x4,tpc=4]@sm_90a", "nvfp4_quantize[layout=128x4,tpc=1]@sm_90a"}) {
    for (const std::int64_t rows : {1, 2, 7, 128, 129, 65535, 65536, 300000, 1 << 30}) {
      for (const std::int64_t cols : {16, 64, 208, 2048, 7168, 65536}) {
        const LaunchShape shape = shape_of(text, rows, cols);
        INFO(text << " " << rows << "x" << cols);
        CHECK_FALSE(shape.empty);
        const bool is_flat = std::string(text).find("linear") != std::string::npos;
        const std::int64_t threads = is_flat ? 128 : 64;
        CHECK(shape.block[0] == threads);
        CHECK(shape.grid[1] <= 65535);
        CHECK(shape.grid[2] <= 65535);
        const KernelSpec spec = KernelSpec::parse(text);
        const std::int64_t tpc = std::stoll(std::string(spec.get("tpc")));
        const std::int64_t ctas = std::int64_t{shape.grid[0]} * shape.grid[1] * shape.grid[2];
        if (spec.get("layout") == "linear") {
          // Blocks one after another; the last CTA in x or y may have none.
          const std::int64_t blocks = rows * (cols / 16);
          CHECK(ctas * threads * tpc >= blocks);
          CHECK(ctas * threads * tpc < blocks + threads * tpc * (1 + std::int64_t{shape.grid[0]}));
        } else {
          // 64 block columns of a group of tpc rows, or eight of eight rows; y has whole tiles if there are
          // several slices.
          const std::int64_t all_rows =
              spec.get("layout") == "8x4" ? (rows + 7) / 8 * 8 : (rows + 127) / 128 * 128;
          CHECK(std::int64_t{shape.grid[0]} * (tpc == 1 ? 8 : 64) >= (cols / 16 + 3) / 4 * 4);
          CHECK(std::int64_t{shape.grid[1]} * shape.grid[2] * (tpc == 1 ? 8 : tpc) >= all_rows);
          CHECK((shape.grid[2] == 1 || shape.grid[1] % 128 == 0));
        }
      }
    }
  }
  CHECK(shape_of("nvfp4_quantize@sm_90a", 0, 64).empty);
  CHECK(shape_of("nvfp4_quantize[layout=linear,scale=row,tpc=4]@sm_90a", 9, 64).grid[1] == 3);
  // 128 threads a CTA where each takes one block of a flat range, if it is not much work.
  for (const char* axes : {"tpc=2", "tpc=1,4over6=mae448", "tpc=1,scale=row"}) {
    CAPTURE(axes);
    CHECK(shape_of((std::string("nvfp4_quantize[") + axes + "]@sm_90a").c_str(), 5, 64).block[0] ==
          64);
  }
}

TEST_CASE("batches beyond the grid's z go round in x", "[nvfp4_quantize]") {
  const KernelSpec spec = KernelSpec::parse("nvfp4_quantize[layout=8x4]@sm_90a");
  Nvfp4QuantizeArgs args = good_args();
  args.rows = 3;
  args.cols = 2048;
  args.batches = 200'000;
  LaunchShape shape = spec.op().launch_shape(spec, &args, {});
  CHECK(shape.grid[0] == 16 * 4);  // eight columns of eight rows a CTA
  CHECK(shape.grid[1] == 1);
  CHECK(shape.grid[2] == 65535);
  const KernelSpec pairs = KernelSpec::parse("nvfp4_quantize[layout=8x4,tpc=2]@sm_90a");
  shape = pairs.op().launch_shape(pairs, &args, {});
  CHECK(shape.grid[0] == 2 * 4);  // two chunks of 64 columns
  CHECK(shape.grid[1] == 4);
  CHECK(shape.grid[2] == 65535);
}

TEST_CASE("groups beyond the grid's y are slices in z, batches then go round in x",
          "[nvfp4_quantize]") {
  const KernelSpec spec = KernelSpec::parse("nvfp4_quantize[layout=8x4]@sm_90a");
  Nvfp4QuantizeArgs args = good_args();
  args.rows = 3 * 65408 * 8 + 1;
  args.cols = 2048;
  args.batches = 5;
  const LaunchShape shape = spec.op().launch_shape(spec, &args, {});
  CHECK(shape.grid[0] == 16 * 5);
  CHECK(shape.grid[1] == 65408);
  CHECK(shape.grid[2] == 4);
}

TEST_CASE("a call's buffers are exactly its tensors", "[nvfp4_quantize]") {
  const Nvfp4QuantizeArgs args = good_args();
  const auto regions = kSpec.op().regions(kSpec, &args);
  REQUIRE(regions.size() == 3);
  CHECK(regions[0].bytes == 5 * 64 * 2);
  CHECK(regions[1].bytes == 5 * 32);
  CHECK(regions[2].bytes == 128 * 4);
  CHECK(regions[0].access == fourge::Access::read);
  CHECK(regions[2].access == fourge::Access::write);
}
