// Argument structs: their defaults, and the buffers that they ask for.
#include <fourge/c_ops.h>
#include <fourge/allreduce_rmsnorm_quantize.hpp>
#include <fourge/amax.hpp>
#include <fourge/dequantize.hpp>
#include <fourge/fp8_quantize.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/moe_activation_quantize.hpp>
#include <fourge/moe_expand_quantize.hpp>
#include <fourge/moe_finalize.hpp>
#include <fourge/moe_permute.hpp>
#include <fourge/moe_route.hpp>
#include <fourge/moe_route_maps.hpp>
#include <fourge/moe_swiglu_fp8_block.hpp>
#include <fourge/mx_quantize.hpp>
#include <fourge/nvfp4_activation_quantize.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/nvfp4_quantize_per_token.hpp>
#include <fourge/op_definition.hpp>
#include <fourge/rmsnorm_quantize.hpp>
#include <fourge/scale_interleave.hpp>

#include <fmt/format.h>

#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/c_api/boundary.hpp"

namespace fourge::c_api {
namespace {

struct ArgumentDefaults {
  std::string_view op;
  const void* bytes;
  std::size_t size;
};

template <class Args>
inline constexpr Args kDefaultArgs{};

template <class... Args>
std::span<const ArgumentDefaults> defaults_of() {
  static constexpr ArgumentDefaults kDefaults[] = {
      {Args::kOp, &kDefaultArgs<Args>, sizeof(Args)}...};
  return kDefaults;
}

// One for every built-in operation.
std::span<const ArgumentDefaults> all_defaults() {
  return defaults_of<
      Nvfp4QuantizeArgs, Nvfp4QuantizeGroupedArgs, SiluAndMulNvfp4QuantizeArgs, Mxfp4QuantizeArgs,
      Mxfp8QuantizeArgs, Fp8Quantize1x128Args, Fp8Quantize128x128Args, Nvfp4QuantizePerTokenArgs,
      RowAmaxArgs, GlobalScaleArgs, ScaleInterleaveArgs, ScaleDeinterleaveArgs, Nvfp4DequantizeArgs,
      Mxfp4DequantizeArgs, Mxfp8DequantizeArgs, MoeSwigluFp8BlockArgs, MoePermuteArgs,
      MoeFinalizeArgs, MoeExpandQuantizeArgs, RmsnormQuantizeArgs, MoeActivationQuantizeArgs,
      MoeRouteTopkArgs, MoeRouteMapsArgs, AllreduceRmsnormQuantizeArgs>();
}

void check_args_size(const OpDefinition& op, std::size_t size, const char* function) {
  if (size != op.args_size) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: {} bytes of arguments; those of {} have {}", function, size,
                            op.name, op.args_size));
  }
}

// A copy of an argument struct, aligned for any member.
class ArgsCopy {
 public:
  ArgsCopy(const void* args, std::size_t size) : words_((size + 7) / 8) {
    std::memcpy(words_.data(), args, size);
  }

  void* data() { return words_.data(); }

  // Null pointers become addresses that satisfy every alignment and lie far apart from one another.
  void stand_in_for_null(const OpDefinition& op) {
    std::uintptr_t next = kApart;
    for (const Param& param : op.params) {
      auto* const member = reinterpret_cast<std::byte*>(words_.data()) + param.offset;
      std::uintptr_t address = 0;
      if (param.type.ends_with('*') && param.size == sizeof(address)) {
        std::memcpy(&address, member, sizeof(address));
        if (address == 0) {
          std::memcpy(member, &next, sizeof(next));
        }
        next += kApart;
      }
    }
  }

 private:
  static constexpr std::uintptr_t kApart = std::uintptr_t{1} << 50U;
  std::vector<std::uint64_t> words_;
};

// Some arguments may be null and mean something then, so they are first taken as they are.
std::vector<BufferRegion> regions_of(const KernelSpec& spec, ArgsCopy& args) {
  const OpDefinition& op = spec.op();
  try {
    op.check_args(spec, args.data());
  } catch (const Error&) {
    args.stand_in_for_null(op);
    op.check_args(spec, args.data());
  }
  return op.regions(spec, args.data());
}

std::uint64_t buffer_bytes(const KernelSpec& spec, const void* args, std::string_view buffer) {
  ArgsCopy copy(args, spec.op().args_size);
  std::string known;
  for (const BufferRegion& region : regions_of(spec, copy)) {
    if (region.name == buffer) {
      return region.bytes;
    }
    known += fmt::format("{}{}", known.empty() ? "" : ", ", region.name);
  }
  throw Error(
      ErrorKind::invalid_argument,
      fmt::format("{} has no buffer \"{}\" in this call; it has: {}", spec.text(), buffer, known));
}

}  // namespace
}  // namespace fourge::c_api

using fourge::c_api::guarded;
using fourge::c_api::require;

extern "C" {

fourge_status fourge_args_init(const char* op, void* args, size_t size, fourge_error** error) {
  return guarded(error, [&] {
    require(op, "fourge_args_init", "op");
    require(args, "fourge_args_init", "args");
    const fourge::OpDefinition& definition = fourge::find_op(op);
    fourge::c_api::check_args_size(definition, size, "fourge_args_init");
    for (const auto& defaults : fourge::c_api::all_defaults()) {
      if (defaults.op == definition.name && defaults.size == size) {
        std::memcpy(args, defaults.bytes, size);
        return;
      }
    }
    throw fourge::Error(fourge::ErrorKind::internal,
                        fmt::format("fourge_args_init: no defaults of {} are known", op));
  });
}

fourge_status fourge_buffer_bytes(const char* spec, const void* args, size_t size,
                                  const char* buffer, uint64_t* bytes, fourge_error** error) {
  return guarded(error, [&] {
    require(spec, "fourge_buffer_bytes", "spec");
    require(args, "fourge_buffer_bytes", "args");
    require(buffer, "fourge_buffer_bytes", "buffer");
    require(bytes, "fourge_buffer_bytes", "bytes");
    // No size depends on the target.
    const auto parsed = fourge::KernelSpec::parse(spec, fourge::Target::all().front());
    fourge::c_api::check_args_size(parsed.op(), size, "fourge_buffer_bytes");
    *bytes = fourge::c_api::buffer_bytes(parsed, args, buffer);
  });
}

}  // extern "C"
