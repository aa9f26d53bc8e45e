#include <fourge/rmsnorm_quantize.hpp>

#include "tests/jit/op_args.hpp"

#include <limits>
#include <utility>

using namespace fourge;
using namespace fourge::tests;
using Args = RmsnormQuantizeArgs;

namespace {

Args good_args() {
  Args args;
  args.x = at<void>(0x1000);
  args.residual = at<void>(0x2000);
  args.weight = at<void>(0x3000);
  args.q = at<std::uint8_t>(0x4000);
  args.scales = at<std::uint8_t>(0x5000);
  args.token_scales = at<float>(0x6000);
  args.residual_out = at<void>(0x7000);
  args.norm_out = at<void>(0x8000);
  args.rows = 5;
  args.cols = 64;
  return args;
}

bool refused(const std::string& part, const std::function<void(Args&)>& change,
             const std::string& axes = "[residual=add]") {
  const std::string text = refusal_with_axes<Args>(axes, good_args(), change);
  INFO(text);
  CHECK(mentions(text, part));
  return mentions(text, part);
}

}  // namespace

TEST_CASE("rmsnorm: bad arguments are refused by name", "[rmsnorm]") {
  CHECK(refused("accepted", [](Args&) {}));
  CHECK(refused("x is a null pointer", [](Args& a) { a.x = nullptr; }));
  CHECK(refused("weight is", [](Args& a) { a.weight = at<void>(0x3010); }));
  CHECK(refused("q is", [](Args& a) { a.q = at<std::uint8_t>(0x4008); }));
  CHECK(refused("scales is a null pointer", [](Args& a) { a.scales = nullptr; }));
  CHECK(refused(
      "accepted", [](Args& a) { a.scales = nullptr; }, "[out=fp8]"));
  CHECK(refused("residual is a null", [](Args& a) { a.residual = nullptr; }));
  CHECK(refused("residual_out is a null", [](Args& a) { a.residual_out = nullptr; }));
  CHECK(refused(
      "accepted", [](Args& a) { a.residual = a.residual_out = nullptr; }, ""));
  CHECK(refused("norm_out is", [](Args& a) { a.norm_out = at<void>(0x8002); }));
  CHECK(refused("accepted", [](Args& a) { a.norm_out = nullptr; }));
  CHECK(refused(
      "token_scales is a null",
      [](Args& a) {
        a.token_scales = nullptr;
        a.scale_value = 1.0F / 2688.0F;
      },
      "[scale=token]"));
  CHECK(refused("scale is", [](Args& a) { a.scale = at<float>(0x9002); }));
  CHECK(refused("rows is -1", [](Args& a) { a.rows = -1; }));
  CHECK(refused("cols is 24", [](Args& a) { a.cols = 24; }));
  CHECK(refused(
      "cols is 48", [](Args& a) { a.cols = 48; }, "[out=mxfp8]"));
  CHECK(refused("accepted", [](Args& a) { a.cols = 48; }));
  CHECK(refused("2^24", [](Args& a) { a.cols = (1 << 24) + 16; }));
  CHECK(refused("2^47", [](Args& a) { a.rows = std::int64_t{1} << 50; }));
  CHECK(refused("accepted", [](Args& a) {
    a = Args{};
    a.cols = 16;
  }));
}

TEST_CASE("rmsnorm: scales and eps must be usable", "[rmsnorm]") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float bad : {0.0F, -1.0F, kInfinity, std::nanf("")}) {
    const auto change = [bad](Args& a) { a.scale_value = bad; };
    CHECK(refused("scale_value is", change));
    CHECK(refused("scale_value is", change, "[out=fp8]"));
    CHECK(refused("scale_value is", change, "[scale=token]"));
    CHECK(refused("accepted", change, "[out=mxfp8]"));
    CHECK(refused("accepted", change, "[out=fp8,scale=token]"));
    CHECK(refused("eps is", [bad](Args& a) { a.eps = bad; }));
  }
  CHECK(refused("eps is", [](Args& a) { a.eps = 1e-40F; }));
}

TEST_CASE("rmsnorm: illegal combinations are refused by name", "[rmsnorm]") {
  const auto refusal = [](const std::string& axes, const std::string& target = "sm_90a") {
    return fourge::tests::refusal_of_spec("rmsnorm_quantize[" + axes + "]@" + target);
  };
  CHECK(mentions(refusal("out=fp8,layout=128x4"), "layout must be linear"));
  CHECK(mentions(refusal("out=mxfp8,scale=token"), "scale must be tensor"));
  CHECK(mentions(refusal("out=mxfp8,4over6=mae448"), "4over6 is for out=nvfp4"));
  CHECK(mentions(refusal("order=unrounded,4over6=mae448"), "order must be rounded"));
  CHECK(refusal("order=unrounded") == "accepted");
  for (const char* axes : {"residual=add", "scale=token", "order=unrounded", "4over6=mae448",
                           "out=mxfp8", "out=fp8"}) {
    INFO(axes);
    CHECK(mentions(refusal(std::string("row=64x7,") + axes), "take row=shared"));
  }
  CHECK(refusal("row=64x7,layout=128x4,in=f16,weight=plus_one") == "accepted");
  CHECK(refusal("row=224x2,layout=128x4,in=f16,weight=plus_one") == "accepted");
  CHECK(mentions(refusal("row=224x2", "sm_89"), "needs bulk copies, which sm_89 has not"));
}

TEST_CASE("rmsnorm: a thread has one block of few rows, several of many", "[rmsnorm]") {
  Args args = good_args();
  const char* spec = "rmsnorm_quantize[layout=128x4]@sm_90a";
  struct Row {
    std::int64_t cols;
    unsigned few, many, shared;
  };
  const Row table[] = {{16, 32, 32, 32},        {1024, 64, 32, 2048},     {2080, 160, 64, 4160},
                       {7168, 448, 128, 14336}, {16384, 512, 128, 32768}, {23040, 512, 128, 46080},
                       {23056, 512, 128, 0},    {1 << 20, 512, 128, 0}};
  for (const Row& row : table) {
    args.cols = row.cols;
    for (const std::int64_t rows : {1, 127, 264}) {
      args.rows = rows;
      INFO(rows << " x " << row.cols);
      CHECK(launch(spec, args).block[0] == row.few);
      CHECK(launch(spec, args).block[1] == 1);
      CHECK(launch(spec, args).dynamic_shared_bytes == row.shared);
    }
    args.rows = 265;
    CHECK(launch(spec, args).block[0] == row.many);
  }
  args.cols = 7168;
  for (const std::int64_t rows : {64 * 132 - 1, 64 * 132}) {
    args.rows = rows;
    const bool very_many = rows == 64 * 132;
    CHECK(launch(spec, args).block[0] == (very_many ? 64 : 128));
    CHECK(launch("rmsnorm_quantize[residual=add]@sm_90a", args).block[0] == 128);
    CHECK(launch("rmsnorm_quantize[out=fp8]@sm_90a", args).block[0] == 128);
    CHECK(launch("rmsnorm_quantize[4over6=mae448]@sm_90a", args).block[0] == 128);
  }
  args.cols = 8192;
  CHECK(launch(spec, args).block[0] == 128);
  args.cols = 1024;
  args.rows = 4 * 132;
  CHECK(launch(spec, args).block[1] == 4);
  CHECK(launch(spec, args).grid[0] == 640 / 4);
  CHECK(launch(spec, args).dynamic_shared_bytes == 8192);
  args.rows = 3;
  CHECK(launch(spec, args).grid[0] == 128);
  args.rows = 0;
  CHECK(launch(spec, args).empty);
}

TEST_CASE("rmsnorm: rows in registers have just the columns of their threads' blocks",
          "[rmsnorm]") {
  Args args = good_args();
  struct Form {
    const char* row;
    unsigned threads;
    std::int64_t blocks;
    unsigned copied = 0;  // CTAs of a multiprocessor, each of which takes several rows
  };
  const Form forms[] = {{"64x4", 64, 4},      {"64x5", 64, 5},      {"64x7", 64, 7},
                        {"64x8", 64, 8},      {"256x1", 256, 1},    {"320x1", 320, 1},
                        {"448x1", 448, 1},    {"512x1", 512, 1},    {"128x2", 128, 2, 7},
                        {"160x2", 160, 2, 5}, {"224x2", 224, 2, 4}, {"256x2", 256, 2, 3}};
  // And shared, copied, registers1, of any length.
  CHECK(std::size(forms) + 3 == rmsnorm_quantize_op().axes[8].values.size());
  for (const Form& form : forms) {
    const std::string axes = std::string("[row=") + form.row + "]";
    const std::string text = "rmsnorm_quantize" + axes + "@sm_90a";
    const auto spec = KernelSpec::parse(text);
    args.cols = 16 * form.threads * form.blocks;
    INFO(form.row);
    CHECK(rmsnorm_quantize_columns(spec) == args.cols);
    // The generated source has the same numbers.
    CHECK(rmsnorm_quantize_op().axes[8].values[spec.index(8)].expression ==
          "fourge_device::RowShape{" + std::to_string(form.threads) + ", " +
              std::to_string(form.blocks) + (form.copied != 0 ? ", true}" : "}"));
    for (const std::int64_t rows : {1, 264, 100000}) {
      args.rows = rows;
      const LaunchShape shape = launch(text, args);
      CHECK(shape.block[0] == form.threads);
      CHECK(shape.block[1] == 1);
      const std::int64_t most = form.copied == 0 ? rows : std::int64_t{form.copied} * 132;
      CHECK(shape.grid[0] == std::min(rows, most));
      CHECK(shape.dynamic_shared_bytes == (form.copied == 0 ? 0 : args.cols * 2));
    }
    CHECK(refused(
        "accepted", [&](Args& a) { a.cols = args.cols; }, axes));
    for (const std::int64_t cols : {args.cols - 16, args.cols + 16, std::int64_t{16}}) {
      CHECK(refused(
          "row=shared takes any", [&](Args& a) { a.cols = cols; }, axes));
    }
  }
  CHECK(rmsnorm_quantize_columns(KernelSpec::parse("rmsnorm_quantize[]@sm_90a")) == 0);
  CHECK_THROWS_AS(rmsnorm_quantize_columns(KernelSpec::parse("row_amax[]@sm_90a")), Error);
}

TEST_CASE("rmsnorm: copied rows of 8x4 tiles are whole tiles apart", "[rmsnorm]") {
  Args args = good_args();
  args.cols = 4096;
  const auto ctas = [&](const std::string& layout, std::int64_t rows, int multiprocessors) {
    args.rows = rows;
    const std::string text = "rmsnorm_quantize[row=128x2,layout=" + layout + "]@sm_90a";
    return launch(text, args, multiprocessors).grid[0];
  };
  CHECK(ctas("128x4", 100000, 132) == 924);
  CHECK(ctas("8x4", 100000, 132) == 920);
  CHECK(ctas("8x4", 100000, 1) == 8);
  // Few rows have a CTA each, those that pad the last tile as well.
  CHECK(ctas("8x4", 3, 132) == 8);
  CHECK(ctas("8x4", 9, 1) == 8);
  CHECK(ctas("8x4", 9, 2) == 8);
  CHECK(ctas("8x4", 9, 3) == 16);
}

TEST_CASE(
    "rmsnorm: a block a thread for few rows, copied rows for more, the fewest threads for many",
    "[rmsnorm]") {
  const auto row = [](std::int64_t rows, std::int64_t cols, const char* axes = "",
                      const char* target = "sm_90a") {
    const auto spec = KernelSpec::parse(std::string("rmsnorm_quantize[") + axes + "]@" + target);
    return std::string(rmsnorm_quantize_row(spec, rows, cols, DeviceFacts{132}));
  };
  CHECK(row(1, 7168) == "448x1");
  CHECK(row(263, 7168) == "448x1");
  CHECK(row(264, 7168) == "224x2");
  const std::pair<const char*, std::int64_t> bounds[] = {
      {"", 62 * 132}, {"layout=128x4", 92 * 132}, {"layout=8x4", 74 * 132}};
  for (const auto& [axes, many] : bounds) {
    CHECK(row(many - 1, 7168, axes) == "224x2");
    CHECK(row(many, 7168, axes) == "64x7");
  }
  CHECK(row(264, 7168, "", "sm_89") == "64x7");
  CHECK(row(1024, 4096) == "128x2");
  CHECK(row(1024, 5120) == "160x2");
  CHECK(row(1024, 8192) == "256x2");
  CHECK(row(1 << 20, 7168, "layout=8x4,row=448x1") == "64x7");
  CHECK(row(1, 4096) == "256x1");
  CHECK(row(250 * 132 - 1, 4096) == "128x2");
  CHECK(row(250 * 132, 4096) == "64x4");
  CHECK(row(1, 5120) == "320x1");
  CHECK(row(8192, 5120) == "64x5");
  CHECK(row(1, 8192) == "512x1");
  CHECK(row(8192, 8192) == "64x8");
}

TEST_CASE("rmsnorm: rows of any length in registers while all are there at once, then copied",
          "[rmsnorm]") {
  const auto row = [](std::int64_t rows, std::int64_t cols, const char* axes = "",
                      const char* target = "sm_90a") {
    const auto spec = KernelSpec::parse(std::string("rmsnorm_quantize[") + axes + "]@" + target);
    return std::string(rmsnorm_quantize_row(spec, rows, cols, DeviceFacts{132}));
  };
  for (const char* axes : {"scale=token", "4over6=mae448", "out=mxfp8", "out=fp8"}) {
    INFO(axes);
    CHECK(row(1, 7168, axes) == "registers1");
    CHECK(row(301, 7168, axes) == "registers1");  // 448 threads each
    CHECK(row(302, 7168, axes) == "copied");
    CHECK(row(1, 8192, axes) == "registers1");
    CHECK(row(1, 8224, axes) == "copied");
    CHECK(row(1, 32768, axes) == "copied");
    CHECK(row(1, 32800, axes) == "shared");
    CHECK(row(302, 7168, axes, "sm_89") == "shared");
    CHECK(row(301, 7168, axes, "sm_89") == "registers1");
  }
  CHECK(row(704, 2880) == "registers1");
  CHECK(row(705, 2880) == "copied");
  CHECK(row(1 << 20, 7152) == "copied");
  CHECK(row(4096, 16, "order=unrounded") == "registers1");
  CHECK(row(4096, 7168, "order=unrounded") == "shared");
  struct Residual {
    const char* axes;
    std::int64_t rows;  // as long as they stay in registers
  };
  for (const Residual& one :
       {Residual{"residual=add", 603}, Residual{"residual=add,4over6=mse448", 1206},
        Residual{"residual=add,scale=token", 1206}, Residual{"residual=add,out=mxfp8", 1206}}) {
    INFO(one.axes);
    CHECK(row(one.rows, 7168, one.axes) == "registers1");
    CHECK(row(one.rows + 1, 7168, one.axes) != "registers1");
  }
  CHECK(row(5632, 6144, "residual=add") == "registers1");
  CHECK(row(5633, 6144, "residual=add") == "copied");
  CHECK(row(604, 7168, "residual=add") == "shared");
  CHECK(row(8 * 132, 7168, "residual=add") == "copied");
  CHECK(row(1207, 7168, "residual=add,4over6=mae448") == "copied");
  // Long rows with a residual, and FP8 with a scale a token.
  CHECK(row(131, 16384, "residual=add") == "copied");
  CHECK(row(132, 16384, "residual=add") == "shared");
  CHECK(row(8 * 132, 16384, "residual=add") == "copied");
  CHECK(row(24 * 132 - 1, 7168, "out=fp8,scale=token") == "copied");
  CHECK(row(24 * 132, 7168, "out=fp8,scale=token") == "shared");
}

TEST_CASE("rmsnorm: a CTA that has one row of any length", "[rmsnorm]") {
  Args args = good_args();
  const auto shape = [&](const std::string& axes, std::int64_t rows, std::int64_t cols) {
    args.rows = rows;
    args.cols = cols;
    args.scale_value = 1.0F / 2688.0F;
    return launch("rmsnorm_quantize[" + axes + "]@sm_90a", args);
  };
  for (const std::int64_t rows : {1, 5000}) {
    CHECK(shape("row=registers1", rows, 7168).block[0] == 448);
    CHECK(shape("row=registers1,layout=128x4", rows, 16).block[0] == 32);
    CHECK(shape("row=registers1", rows, 7168).grid[0] == rows);
    CHECK(shape("row=registers1", rows, 7168).dynamic_shared_bytes == 0);
  }
  CHECK(shape("row=copied", 1, 7168).block[0] == 448);
  CHECK(shape("row=copied", 265, 7168).block[0] == 128);
  CHECK(shape("row=copied", 265, 512).block[1] == 1);
  CHECK(shape("row=copied", 64 * 132, 7168).block[0] == 64);
  CHECK(shape("row=copied,4over6=mae448", 64 * 132, 7168).block[0] == 64);
  CHECK(shape("row=copied,scale=token", 64 * 132, 7168).block[0] == 128);
  CHECK(shape("row=copied", 64 * 132, 8192).block[0] == 128);
  CHECK(shape("row=copied,residual=add", 48 * 132 - 1, 7168).block[0] == 224);
  CHECK(shape("row=copied,residual=add", 48 * 132, 7168).block[0] == 128);
  CHECK(shape("row=copied,residual=add,4over6=mae448", 24 * 132, 7168).block[0] == 128);
  // Of more blocks than lanes a thread has all of a lane's.
  for (const char* axes : {"row=copied", "row=copied,residual=add", "row=copied,out=fp8"}) {
    for (const std::int64_t rows : {1, 300, 5000, 100'000}) {
      CHECK(512 % shape(axes, rows, 32768).block[0] == 0);
    }
  }
  // Fewer threads have the registers that 4over6 takes on targets but sm_90.
  const auto wide = [&](const char* target) {
    args.rows = 1;
    args.cols = 8192;
    return launch(std::string("rmsnorm_quantize[row=copied,4over6=mae448]@") + target, args)
        .block[0];
  };
  CHECK(wide("sm_90a") == 512);
  CHECK(wide("sm_100a") == 256);
  CHECK(rmsnorm_quantize_most_columns(
            KernelSpec::parse("rmsnorm_quantize[row=registers1,4over6=mae448]@sm_80")) == 7168);
  CHECK(shape("row=copied,layout=8x4", 9, 7168).grid[0] == 16);
  CHECK(shape("row=copied", 9, 7168).dynamic_shared_bytes == 14336);
  CHECK(shape("row=copied,residual=add", 9, 7168).dynamic_shared_bytes == 28672);
  CHECK(rmsnorm_quantize_most_columns(KernelSpec::parse("rmsnorm_quantize[row=copied]@sm_90a")) ==
        32768);
  CHECK(rmsnorm_quantize_most_columns(KernelSpec::parse("rmsnorm_quantize[row=64x7]@sm_90a")) ==
        7168);
  CHECK(rmsnorm_quantize_most_columns(KernelSpec::parse("rmsnorm_quantize@sm_90a")) == 0);
  CHECK(refused(
      "row=copied holds at most 32768, row=shared takes any", [](Args& a) { a.cols = 32784; },
      "[row=copied]"));
  CHECK(refused(
      "row=registers1 holds at most 8192", [](Args& a) { a.cols = 8208; }, "[row=registers1]"));
  CHECK(refused(
      "accepted", [](Args& a) { a.cols = 8192; }, "[row=registers1]"));
  CHECK(mentions(refusal_of_spec("rmsnorm_quantize[row=copied,order=unrounded]@sm_90a"),
                 "order=rounded"));
  CHECK(mentions(refusal_of_spec("rmsnorm_quantize[row=copied]@sm_89"), "needs bulk copies"));
}

TEST_CASE("rmsnorm: the regions are exact", "[rmsnorm]") {
  Args args = good_args();
  args.norm_out = nullptr;
  const auto list = regions("rmsnorm_quantize[layout=128x4,residual=add]@sm_90a", args);
  REQUIRE(list.size() == 6);
  CHECK(list[0].bytes == 640);
  CHECK(list[1].bytes == 128);
  CHECK(list[2].bytes == 160);
  CHECK(list[3].bytes == 640);
  CHECK(list[4].bytes == 640);
  CHECK(list[5].bytes == 512);
  CHECK(regions("rmsnorm_quantize[out=fp8,scale=token]@sm_90a", args).back().bytes == 20);
  CHECK(rmsnorm_quantize_scale_bytes("mxfp8", "linear", 5, 64) == 10);
  CHECK(rmsnorm_quantize_scale_bytes("fp8", "linear", 5, 64) == 0);
  CHECK_THROWS_AS(rmsnorm_quantize_scale_bytes("fp4", "linear", 5, 64), Error);
}
