#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/nvfp4_activation_quantize.hpp>

#include "tests/jit/op_args.hpp"
#include "tests/support/catch.hpp"

#include <functional>

using fourge::Error;
using fourge::KernelSpec;
using Silu = fourge::SiluAndMulNvfp4QuantizeArgs;
using Grouped = fourge::Nvfp4QuantizeGroupedArgs;

namespace {

// Never read: only addresses and shapes are looked at.
template <class T>
T* at(std::uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

template <class Args>
std::string refusal_of(const char* text, Args args, const std::function<void(Args&)>& change) {
  const KernelSpec spec = KernelSpec::parse(text);
  change(args);
  try {
    spec.op().check_args(spec, &args);
  } catch (const Error& error) {
    CHECK(error.kind() == fourge::ErrorKind::invalid_argument);
    return error.what();
  }
  return "accepted";
}

std::string silu_refusal(const std::function<void(Silu&)>& change) {
  Silu args;
  args.x = at<void>(0x1000);
  args.codes = at<std::uint8_t>(0x2000);
  args.scales = at<std::uint8_t>(0x3000);
  args.rows = 5;
  args.cols = 64;
  return refusal_of<Silu>("silu_and_mul_nvfp4_quantize@sm_90a", args, change);
}

std::string grouped_refusal(const std::function<void(Grouped&)>& change) {
  Grouped args;
  args.x = at<void>(0x1000);
  args.codes = at<std::uint8_t>(0x2000);
  args.scales = at<std::uint8_t>(0x3000);
  args.global_scales = at<float>(0x4000);
  args.valid_rows = at<std::int32_t>(0x5000);
  args.experts = 3;
  args.rows = 5;
  args.cols = 64;
  return refusal_of<Grouped>("nvfp4_quantize_grouped@sm_90a", args, change);
}

bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("silu_and_mul: bad arguments are refused by name", "[activation]") {
  CHECK(silu_refusal([](Silu&) {}) == "accepted");
  CHECK(silu_refusal([](Silu& a) {
          a.rows = 0;
          a.x = nullptr;
        }) == "accepted");
  CHECK(mentions(silu_refusal([](Silu& a) { a.x = nullptr; }), "x is a null pointer"));
  CHECK(mentions(silu_refusal([](Silu& a) { a.codes = at<std::uint8_t>(0x2004); }), "codes is"));
  CHECK(mentions(silu_refusal([](Silu& a) { a.scales = nullptr; }), "scales is a null pointer"));
  CHECK(mentions(silu_refusal([](Silu& a) { a.cols = 40; }), "cols is 40"));
  CHECK(mentions(silu_refusal([](Silu& a) { a.rows = -2; }), "rows is -2"));
  CHECK(mentions(silu_refusal([](Silu& a) { a.global_scale_value = 0; }), "positive and finite"));
  CHECK(mentions(silu_refusal([](Silu& a) { a.rows = std::int64_t{1} << 50; }), "2^47"));
}

TEST_CASE("grouped: bad arguments are refused by name", "[activation]") {
  CHECK(grouped_refusal([](Grouped&) {}) == "accepted");
  CHECK(grouped_refusal([](Grouped& a) {
          a.experts = 0;
          a.valid_rows = nullptr;
        }) == "accepted");
  CHECK(mentions(grouped_refusal([](Grouped& a) { a.experts = -1; }), "experts is -1"));
  CHECK(mentions(grouped_refusal([](Grouped& a) { a.valid_rows = nullptr; }),
                 "valid_rows is a null pointer"));
  CHECK(mentions(grouped_refusal([](Grouped& a) { a.global_scales = at<float>(0x4001); }),
                 "global_scales is"));
  CHECK(mentions(grouped_refusal([](Grouped& a) { a.cols = 8; }), "cols is 8"));
  CHECK(mentions(grouped_refusal([](Grouped& a) { a.experts = std::int64_t{1} << 45; }), "2^47"));
}

TEST_CASE("the launches cover all rows and stay within the grid's limits", "[activation]") {
  const KernelSpec silu = KernelSpec::parse("silu_and_mul_nvfp4_quantize[layout=128x4]@sm_90a");
  Silu args;
  args.rows = 70000;
  args.cols = 4112;
  const auto shape = silu.op().launch_shape(silu, &args, {132});
  CHECK(shape.grid[1] == 65535);
  CHECK(shape.grid[0] * shape.block[0] * 8 >= 4112 / 16);
  // Blocks a thread takes, by the CTAs that one each would give: 3 * 18 a multiprocessor, and multiples.
  const auto columns_of_ctas = [](const char* axes, std::int64_t rows, std::int64_t cols) {
    Silu many;
    many.rows = rows;
    many.cols = cols;
    const std::string text = std::string("silu_and_mul_nvfp4_quantize[") + axes + "]@sm_90a";
    return fourge::tests::launch(text, many).grid[0];
  };
  CHECK(columns_of_ctas("", 1, 7168) == 7);
  CHECK(columns_of_ctas("", 1024, 7168) == 7);
  CHECK(columns_of_ctas("", 2036, 7168) == 7);
  CHECK(columns_of_ctas("", 2037, 7168) == 4);
  CHECK(columns_of_ctas("", 4096, 7168) == 2);
  CHECK(columns_of_ctas("layout=8x4", 4096, 7168) == 2);
  CHECK(columns_of_ctas("math=fast,4over6=mae448fast", 4096, 7168) == 2);
  CHECK(columns_of_ctas("math=fast", 16384, 7168) == 7);
  CHECK(columns_of_ctas("", 16384, 7168) == 1);
  CHECK(columns_of_ctas("", 8192, 16384) == 2);
  CHECK(columns_of_ctas("", 131072, 1024) == 1);
  const KernelSpec grouped = KernelSpec::parse("nvfp4_quantize_grouped[act=silu]@sm_90a");
  Grouped experts;
  experts.experts = 7;
  experts.rows = 11;
  experts.cols = 16;
  CHECK(grouped.op().launch_shape(grouped, &experts, {132}).grid[1] == 77);
  CHECK(grouped.op().launch_shape(grouped, &experts, {132}).block[0] == 32);
  experts.rows = 0;
  CHECK(grouped.op().launch_shape(grouped, &experts, {132}).empty);
}
