#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/nvfp4_quantize_per_token.hpp>

#include "tests/support/catch.hpp"

#include <functional>
#include <limits>

using fourge::Error;
using fourge::KernelSpec;
using Args = fourge::Nvfp4QuantizePerTokenArgs;

namespace {

// Never read: only addresses and shapes are looked at.
template <class T>
T* at(std::uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

Args good_args() {
  Args args;
  args.x = at<void>(0x1000);
  args.codes = at<std::uint8_t>(0x2000);
  args.scales = at<std::uint8_t>(0x3000);
  args.token_scales = at<float>(0x4000);
  args.rows = 5;
  args.cols = 64;
  return args;
}

std::string refusal_of(const std::string& axes, const std::function<void(Args&)>& change) {
  const auto spec = KernelSpec::parse("nvfp4_quantize_per_token[" + axes + "]@sm_90a");
  Args args = good_args();
  change(args);
  try {
    spec.op().check_args(spec, &args);
  } catch (const Error& error) {
    CHECK(error.kind() == fourge::ErrorKind::invalid_argument);
    return error.what();
  }
  return "accepted";
}

bool refused(const char* part, const std::function<void(Args&)>& change,
             const std::string& axes = "in=bf16") {
  const std::string text = refusal_of(axes, change);
  INFO(text);
  return text.find(part) != std::string::npos;
}

fourge::LaunchShape launch(const std::string& axes, const Args& args, int multiprocessors = 132) {
  const auto spec = KernelSpec::parse("nvfp4_quantize_per_token[" + axes + "]@sm_90a");
  return spec.op().launch_shape(spec, &args, {multiprocessors});
}

}  // namespace

TEST_CASE("per token: bad arguments are refused by name", "[per-token]") {
  CHECK(refused("accepted", [](Args&) {}));
  CHECK(refused("x is a null pointer", [](Args& a) { a.x = nullptr; }));
  CHECK(refused("x is", [](Args& a) { a.x = at<void>(0x1010); }));
  CHECK(refused("codes is", [](Args& a) { a.codes = at<std::uint8_t>(0x2008); }));
  CHECK(refused("scales is a null pointer", [](Args& a) { a.scales = nullptr; }));
  CHECK(refused("token_scales is a null pointer", [](Args& a) { a.token_scales = nullptr; }));
  CHECK(refused("token_scales is", [](Args& a) { a.token_scales = at<float>(0x4002); }));
  CHECK(refused("row_map is", [](Args& a) { a.row_map = at<std::int32_t>(0x5001); }));
  CHECK(refused("mapped_rows is -1", [](Args& a) {
    a.row_map = at<std::int32_t>(0x5000);
    a.mapped_rows = -1;
  }));
  CHECK(refused("accepted", [](Args& a) { a.mapped_rows = -1; }));
  CHECK(refused("rows is -3", [](Args& a) { a.rows = -3; }));
  CHECK(refused("cols is 24", [](Args& a) { a.cols = 24; }));
  CHECK(refused("cols is 0", [](Args& a) { a.cols = 0; }));
  CHECK(refused("2^47", [](Args& a) { a.rows = std::int64_t{1} << 50; }));
}

TEST_CASE("per token: the inverse scale must have a reciprocal", "[per-token]") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const float bad : {0.0F, -1.0F, kInfinity, kNan, 1e-40F}) {
    CHECK(refused("global_scale_inverse is", [bad](Args& a) { a.global_scale_inverse = bad; }));
  }
  CHECK(refused("accepted", [](Args& a) { a.global_scale_inverse = 1.0F / 1536.0F; }));
}

TEST_CASE("per token: with nothing to do, pointers are not looked at", "[per-token]") {
  const auto forget = [](Args& a) {
    a.x = nullptr;
    a.codes = nullptr;
    a.scales = nullptr;
    a.token_scales = nullptr;
  };
  CHECK(refused("accepted", [&](Args& a) {
    forget(a);
    a.rows = 0;
  }));
  CHECK(refused("accepted", [&](Args& a) {
    forget(a);
    a.row_map = at<std::int32_t>(0x5000);
  }));
  Args args = good_args();
  args.row_map = at<std::int32_t>(0x5000);
  CHECK(launch("in=f16", args).empty);
  args.row_map = nullptr;
  args.rows = 0;
  CHECK(launch("in=f16", args).empty);
}

TEST_CASE("per token: a row that does not fit into registers is refused by name", "[per-token]") {
  const auto wide = [](std::int64_t cols) { return [cols](Args& a) { a.cols = cols; }; };
  CHECK(refused("accepted", wide(65536), "row=registers"));
  CHECK(refused("row=registers holds at most 65536 columns, use row=looped", wide(65552),
                "row=registers"));
  CHECK(refused("row=registers holds at most 49152 columns", wide(49168),
                "row=registers,layout=128x4"));
  CHECK(refused("row=registers holds at most 32768 columns", wide(32784),
                "row=registers,4over6=mse256"));
  CHECK(refused("accepted", wide(32768), "row=registers2"));
  CHECK(refused("row=registers2 holds at most 28672 columns", wide(28688),
                "row=registers2,4over6=mae448"));
  CHECK(refused("accepted", wide(16384), "row=registers1"));
  CHECK(refused("row=registers1 holds at most 16384 columns", wide(16400), "row=registers1"));
  CHECK(refused("accepted", wide(131072), "row=cluster"));
  CHECK(refused("row=cluster holds at most 131072 columns", wide(131088), "row=cluster"));
  CHECK(refused("row=cluster holds at most 65536 columns", wide(65552),
                "row=cluster,layout=8x4,4over6=mae448"));
  CHECK_THROWS_AS(KernelSpec::parse("nvfp4_quantize_per_token[row=cluster]@sm_89"), Error);
  CHECK(refused("accepted", wide(32768), "row=copied,layout=128x4,4over6=mae448"));
  CHECK(
      refused("row=copied holds at most 32768 columns, use row=looped", wide(32784), "row=copied"));
  CHECK_THROWS_AS(KernelSpec::parse("nvfp4_quantize_per_token[row=copied]@sm_89"), Error);
  CHECK(refused("accepted", wide(1 << 20), "row=looped"));
  CHECK(refused(
      "cols is 17179869200; at most 17179869184",
      [](Args& a) {
        a.rows = 1;
        a.cols = (std::int64_t{1} << 34) + 16;
      },
      "row=looped"));
  CHECK_THROWS_AS(fourge::nvfp4_per_token_most_columns(KernelSpec::parse("nvfp4_quantize@sm_90a")),
                  Error);
}

TEST_CASE("per token: the choice of a row's holding is legal and follows the table",
          "[per-token]") {
  const fourge::DeviceFacts h200{132};
  const auto choice = [&](std::int64_t rows, std::int64_t cols, const char* layout, bool adaptive) {
    return fourge::nvfp4_per_token_row(rows, cols, layout, adaptive,
                                       fourge::Target::parse("sm_90a"), h200);
  };
  struct Row {
    std::int64_t rows, cols;
    const char *off, *tiled, *adaptive;
  };
  const Row table[] = {{1, 7168, "registers1", "registers1", "registers1"},
                       {263, 7168, "registers1", "registers1", "registers1"},
                       {264, 7168, "registers2", "registers2", "copied"},
                       {1024, 7168, "registers2", "registers2", "copied"},
                       {1584, 7168, "registers", "registers", "copied"},
                       {3695, 7168, "registers", "registers", "copied"},
                       {3696, 7168, "copied", "copied", "copied"},
                       {16384, 4096, "registers", "registers", "copied"},
                       {16384, 4112, "copied", "copied", "copied"},
                       {1024, 16384, "registers2", "registers2", "copied"},
                       {8192, 16384, "copied", "copied", "copied"},
                       {1, 32768, "registers2", "registers2", "copied"},
                       {8192, 32784, "registers", "registers", "cluster"},
                       {8192, 65536, "registers", "cluster", "cluster"},
                       {1, 65552, "cluster", "cluster", "looped"},
                       {1, 131088, "looped", "looped", "looped"}};
  for (const Row& row : table) {
    INFO(row.rows << "x" << row.cols);
    CHECK(choice(row.rows, row.cols, "linear", false) == row.off);
    CHECK(choice(row.rows, row.cols, "128x4", false) == row.tiled);
    CHECK(choice(row.rows, row.cols, "8x4", true) == row.adaptive);
  }
  // Before there were bulk copies.
  const auto sm_89 = fourge::Target::parse("sm_89");
  CHECK(fourge::nvfp4_per_token_row(1024, 7168, "8x4", true, sm_89, h200) == "registers2");
  CHECK(fourge::nvfp4_per_token_row(16384, 7168, "8x4", true, sm_89, h200) == "registers");
  CHECK(fourge::nvfp4_per_token_row(8192, 12288, "8x4", true, sm_89, h200) == "registers2");
  CHECK(fourge::nvfp4_per_token_row(8192, 16384, "8x4", true, sm_89, h200) == "registers");
  // There are fewer registers for each thread's needs on sm_120 and its like.
  const auto sm_121a = fourge::Target::parse("sm_121a");
  CHECK(fourge::nvfp4_per_token_row(8192, 57344, "linear", false, sm_121a, h200) == "registers");
  CHECK(fourge::nvfp4_per_token_row(8192, 57360, "linear", false, sm_121a, h200) == "cluster");
  CHECK(fourge::nvfp4_per_token_row(1, 65536, "8x4", false, sm_89, h200) == "looped");
}

TEST_CASE("per token: the launch covers every row, padding included", "[per-token]") {
  Args args = good_args();
  args.rows = 129;
  args.cols = 7168;
  auto shape = launch("layout=linear", args);
  CHECK(shape.grid[0] == 129);
  CHECK(shape.block[0] == 128);
  CHECK(shape.block[1] == 1);
  CHECK(launch("layout=128x4", args).grid[0] == 256);
  CHECK(launch("layout=8x4", args).grid[0] == 136);
  CHECK(launch("row=registers2", args).block[0] == 224);
  CHECK(launch("row=registers1", args).block[0] == 448);
  args.cols = 65536;
  CHECK(launch("row=registers", args).block[0] == 1024);
  shape = launch("row=cluster", args);
  CHECK(shape.cluster == 4);
  CHECK(shape.block[0] == 256);
  CHECK(shape.grid[0] == 4 * 129);
  CHECK(shape.dynamic_shared_bytes == 16);
  shape = launch("row=cluster,layout=128x4,4over6=mae448", args);
  CHECK(shape.cluster == 8);
  CHECK(shape.grid[0] == 8 * 256);
  args.cols = 7168;
  shape = launch("row=copied,layout=128x4", args);
  CHECK(shape.grid[0] == 256);
  CHECK(shape.block[0] == 128);
  CHECK(shape.block[1] == 1);
  CHECK(shape.dynamic_shared_bytes == 14336);
  args.rows = 7919;
  CHECK(launch("row=copied,4over6=mae448", args).block[0] == 128);
  args.rows = 7920;
  CHECK(launch("row=copied,4over6=mae448", args).block[0] == 64);
  CHECK(launch("row=copied", args).block[0] == 128);
  args.cols = 2048;
  CHECK(launch("row=copied", args).block[1] == 1);
  args.rows = 129;
  args.cols = 16;
  CHECK(launch("row=cluster", args).cluster == 1);
  args.cols = 65536;
  args.rows = std::int64_t{1} << 31;
  // A cluster's or CTA's rows are its only ones: what grid x has no room for goes on along y.
  CHECK(launch("row=cluster", args).grid[0] == 2147483644);
  CHECK(launch("row=cluster", args).grid[1] == 5);
  args.rows = 536870911;
  CHECK(launch("row=cluster", args).grid[0] == 2147483644);
  CHECK(launch("row=cluster", args).grid[1] == 1);
  args.rows = 2147483647;
  CHECK(launch("row=looped", args).grid[1] == 1);
  args.rows = 2147483648;
  CHECK(launch("row=looped", args).grid[0] == 2147483647);
  CHECK(launch("row=looped", args).grid[1] == 2);
  CHECK(launch("row=registers", args).grid[1] == 2);
  CHECK(launch("row=registers2", args).grid[1] == 2);
  args.cols = 16384;
  CHECK(launch("row=registers2,4over6=mae448", args).grid[1] == 2);
  args.cols = 65536;
  args.rows = 129;
  CHECK(launch("row=looped", args).block[0] == 512);
  args.cols = 2048;
  args.rows = 1000;
  shape = launch("layout=linear", args);  // a warp a row
  CHECK(shape.block[0] == 32);
  CHECK(shape.block[1] == 4);
  CHECK(shape.grid[0] == 250);
  args.rows = 527;
  CHECK(launch("layout=linear", args).block[1] == 1);
  args.rows = 528;
  CHECK(launch("layout=linear", args).block[1] == 4);
  args.row_map = at<std::int32_t>(0x5000);
  args.mapped_rows = 7;
  CHECK(launch("layout=128x4", args).grid[0] == 7);
  args.row_map = nullptr;
  args.cols = 16;
  args.rows = std::int64_t{1} << 40;
  // Four rows a CTA: beyond 2^31 - 1 CTAs, each takes a second turn, and more.
  CHECK(launch("layout=linear", args, 1).grid[0] == 2147483647);
  args.rows = std::int64_t{4} * 2147483647;
  shape = launch("layout=linear", args, 1);
  CHECK(shape.grid[0] == 2147483647);
  CHECK(shape.block[1] == 4);
  args.rows -= 4;
  CHECK(launch("layout=linear", args, 1).grid[0] == 2147483646);
  args.cols = 4096;
  args.rows = std::int64_t{1} << 32;
  shape = launch("layout=linear", args, 1);
  CHECK(shape.grid[0] == 2147483647);
  CHECK(shape.block[1] == 1);
}

TEST_CASE("per token: the regions are exact", "[per-token]") {
  const auto spec = KernelSpec::parse("nvfp4_quantize_per_token[layout=128x4]@sm_90a");
  Args args = good_args();
  auto regions = spec.op().regions(spec, &args);
  REQUIRE(regions.size() == 4);
  CHECK(regions[0].bytes == 5 * 64 * 2);
  CHECK(regions[1].bytes == 5 * 32);
  CHECK(regions[2].bytes == 512);
  CHECK(regions[3].bytes == 20);
  args.row_map = at<std::int32_t>(0x5000);
  args.mapped_rows = 3;
  regions = spec.op().regions(spec, &args);
  REQUIRE(regions.size() == 5);
  CHECK(regions[4].bytes == 12);
}
