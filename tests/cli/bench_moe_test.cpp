// What `fourge bench moe` measures, on the host: each variant's buffers are what the operation takes,
// and the comparison with the CPU reference passes, and fails where a result was changed.
#include <fourge/moe_swiglu_fp8_block.hpp>
#include <fourge/rmsnorm_quantize.hpp>
#include <fourge/runtime.hpp>

#include "tests/support/aligned_buffer.hpp"
#include "tests/support/catch.hpp"
#include "tools/bench/bench_ops.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fourge::tests {
namespace {

using tools::BenchMemory;
using tools::BenchOp;
using tools::MatrixShape;

class HostMemory final : public BenchMemory {
 public:
  void read(std::string_view buffer, std::size_t offset, void* to,
            std::size_t bytes) const override {
    const auto& found = *buffers.at(std::string(buffer));
    const auto all = found.bytes();
    REQUIRE(offset + bytes <= all.size());
    std::memcpy(to, all.data() + offset, bytes);
  }
  std::map<std::string, std::shared_ptr<AlignedBuffer>> buffers;
  std::map<std::string, Access> access;
};

// As GpuBench does it: marks for addresses, then buffers for the regions that come back.
HostMemory run(Runtime& runtime, const BenchOp& op, const KernelSpec& spec,
               const MatrixShape& shape) {
  const OpDefinition& definition = spec.op();
  std::vector<std::byte> args(definition.args_size);
  op.fill(spec, shape, args.data());
  std::vector<std::size_t> offsets;
  for (const Param& param : definition.params) {
    if (param.type.ends_with('*') && op.gives(spec, param.name)) {
      const std::uintptr_t mark = (offsets.size() + 1) << 40;
      std::memcpy(args.data() + param.offset, &mark, sizeof(mark));
      offsets.push_back(param.offset);
    }
  }
  HostMemory memory;
  for (const BufferRegion& region : definition.regions(spec, args.data())) {
    const std::string name(region.name);
    std::vector<std::uint8_t> content(region.bytes, 0xA5);
    if (region.access != Access::write) {
      content =
          op.exact == nullptr ? std::vector<std::uint8_t>{} : op.exact(spec, shape, region.name);
      if (content.empty()) {
        content = tools::bench_content(spec, region.name, region.bytes);
      }
      REQUIRE(content.size() >= region.bytes);
    }
    memory.buffers[name] = std::make_shared<AlignedBuffer>(content.data(), region.bytes);
    memory.access[name] = region.access;
    const std::uint8_t* p = memory.buffers[name]->data();
    const auto mark = reinterpret_cast<std::uintptr_t>(region.pointer);
    std::memcpy(args.data() + offsets.at((mark >> 40) - 1), &p, sizeof(p));
  }
  runtime.prepare_host(spec).launch_args(op.op, args.data(), args.size());
  return memory;
}

KernelSpec spec_of(const BenchOp& op, std::string axes, const MatrixShape& shape) {
  const std::size_t at = axes.find("tpc=auto");
  if (at != std::string::npos) {
    axes.replace(at, 8, op.automatic(shape, 132));
  }
  return KernelSpec::parse(std::string(op.op) + "[" + axes + "]@sm_90a");
}

}  // namespace

TEST_CASE("what the benchmark of a mixture of experts runs is right", "[bench]") {
  Runtime runtime;
  for (const BenchOp& op : tools::bench_moe_ops()) {
    for (const std::string& axes : op.variants) {
      for (const std::int64_t tokens : {1, 3}) {
        // A few columns show as much; routing needs its experts.
        MatrixShape shape{tokens, std::min<std::int64_t>(op.cols, 256)};
        CAPTURE(op.op, axes, tokens);
        const KernelSpec spec = spec_of(op, axes, shape);
        if (op.op == RmsnormQuantizeArgs::kOp && rmsnorm_quantize_columns(spec) != 0) {
          shape.cols = rmsnorm_quantize_columns(spec);
        }
        const HostMemory memory = run(runtime, op, spec, shape);
        REQUIRE(op.check != nullptr);
        CHECK(op.check(spec, shape, memory) == "");
        if (op.bytes != nullptr) {
          CHECK(op.bytes(spec, shape) > 0);
        }
      }
    }
  }
}

TEST_CASE("the benchmark leaves out the variants that a target has not", "[bench]") {
  std::size_t left_out = 0;
  for (const BenchOp& op : tools::bench_ops()) {
    CAPTURE(op.op);
    CHECK(tools::bench_variants(op, Target::parse("sm_90a")).size() == op.variants.size());
    const auto older = tools::bench_variants(op, Target::parse("sm_80"));
    CHECK(!older.empty());
    left_out += op.variants.size() - older.size();
    for (const std::string& text : older) {
      CHECK(text.find("by=token") == std::string::npos);
      CHECK(text.find("row=224x2") == std::string::npos);
    }
  }
  CHECK(left_out >= 4);
}

namespace {

// Whether the global scales that a call of this spec is given are near `about`.
bool global_scales_near(const KernelSpec& spec, float about) {
  float scales[100];
  const auto bytes = tools::bench_content(spec, "global_scale", sizeof(scales));
  REQUIRE(bytes.size() == sizeof(scales));
  std::memcpy(scales, bytes.data(), sizeof(scales));
  return std::all_of(std::begin(scales), std::end(scales),
                     [&](float s) { return s > 0.9F * about && s < 1.1F * about; });
}

}  // namespace

TEST_CASE("the benchmark gives row scales to the variants that take them", "[bench]") {
  for (const char* name : {"nvfp4_quantize", "nvfp4_dequantize"}) {
    const BenchOp& op = tools::find_bench_op(name);
    for (const char* scale : {"tensor", "row", "tensor_inv", "row_inv"}) {
      CAPTURE(name, scale);
      const auto spec =
          KernelSpec::parse(std::string(name) + "[scale=" + scale + "]", Target::parse("sm_90a"));
      CHECK(op.gives(spec, "global_scale") == std::string(scale).starts_with("row"));
      CHECK(op.gives(spec, "x"));
      CHECK(global_scales_near(spec, std::string(scale).ends_with("_inv") ? 1 / 896.0F : 896.0F));
    }
  }
  CHECK(global_scales_near(
      KernelSpec::parse("nvfp4_quantize[in=e4m3,scale=row,math=fast]", Target::parse("sm_90a")),
      7.0F));
}

TEST_CASE("the benchmark's comparison sees one changed number", "[bench]") {
  Runtime runtime;
  for (const BenchOp& op : tools::bench_moe_ops()) {
    const MatrixShape shape{1, std::min<std::int64_t>(op.cols, 256)};
    CAPTURE(op.op);
    const KernelSpec spec = spec_of(op, op.variants.front(), shape);
    HostMemory memory = run(runtime, op, spec, shape);
    // The row of the last entry is in every sample.
    for (const auto& [name, access] : memory.access) {
      if (access == Access::write &&
          (name == "y" || name == "q" || name == "out" || name == "ids" || name == "rows")) {
        const std::size_t size = memory.buffers[name]->bytes().size();
        for (std::size_t i = 0; i < size; ++i) {
          memory.buffers[name]->data()[i] ^= 0x10;
        }
        CHECK(op.check(spec, shape, memory) != "");
      }
    }
  }
}

TEST_CASE("bytes of block-FP8 SwiGLU are those of the seed's formula", "[bench]") {
  const BenchOp& op = tools::find_bench_op(MoeSwigluFp8BlockArgs::kOp);
  for (const std::int64_t tokens : {1, 32, 16384}) {
    const MatrixShape shape{tokens, op.cols};
    CHECK(op.bytes(spec_of(op, "", shape), shape) ==
          static_cast<std::size_t>(tokens) * 8 * (3 * 2048 + 4 * 3 * 16 + 4));
  }
}

}  // namespace fourge::tests
