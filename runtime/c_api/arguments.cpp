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

#include "jit/some_target.hpp"
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

  // Null pointers become addresses that satisfy every alignment and lie far apart from one another. Where they are.
  std::vector<std::size_t> stand_in_for_null(const OpDefinition& op) {
    std::vector<std::size_t> offsets;
    std::uintptr_t next = kApart;
    for (const Param& param : op.params) {
      std::uintptr_t address = 0;
      if (param.type.ends_with('*') && param.size == sizeof(address)) {
        std::memcpy(&address, member(param.offset), sizeof(address));
        if (address == 0) {
          set(param.offset, next);
          offsets.push_back(param.offset);
        }
        next += kApart;
      }
    }
    return offsets;
  }

  // Sets the address there, and returns the one that was.
  std::uintptr_t set(std::size_t offset, std::uintptr_t address) {
    std::uintptr_t before = 0;
    std::memcpy(&before, member(offset), sizeof(before));
    std::memcpy(member(offset), &address, sizeof(address));
    return before;
  }

 private:
  std::byte* member(std::size_t offset) {
    return reinterpret_cast<std::byte*>(words_.data()) + offset;
  }

  static constexpr std::uintptr_t kApart = std::uintptr_t{1} << 50U;
  std::vector<std::uint64_t> words_;
};

bool is_accepted(const KernelSpec& spec, ArgsCopy& args) {
  try {
    spec.op().check_args(spec, args.data());
    return true;
  } catch (const Error&) {
    return false;
  }
}

// As few of the stand-ins as the check asks for become null again, from the first one on: up to `most` of them.
bool accepted_with_nulls(const KernelSpec& spec, ArgsCopy& args,
                         std::span<const std::size_t> stand_ins, int most) {
  for (std::size_t i = 0; i < stand_ins.size(); ++i) {
    const std::uintptr_t address = args.set(stand_ins[i], 0);
    if (most == 1 ? is_accepted(spec, args)
                  : accepted_with_nulls(spec, args, stand_ins.subspan(i + 1), most - 1)) {
      return true;
    }
    args.set(stand_ins[i], address);
  }
  return false;
}

// Some arguments may be null and mean something then, so they are first taken as they are; and of those that stand for a buffer
// yet to be made, some must be null in this call.
std::vector<BufferRegion> regions_of(const KernelSpec& spec, ArgsCopy& args) {
  const OpDefinition& op = spec.op();
  constexpr int kMostNulls = 4;
  if (!is_accepted(spec, args)) {
    const std::vector<std::size_t> stand_ins = args.stand_in_for_null(op);
    bool accepted = is_accepted(spec, args);
    for (int nulls = 1; nulls <= kMostNulls && !accepted; ++nulls) {
      accepted = accepted_with_nulls(spec, args, stand_ins, nulls);
    }
    if (!accepted) {
      op.check_args(spec, args.data());  // says why
    }
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
    const auto parsed = fourge::jit::parse_for_some_target(
        [&](fourge::Target target) { return fourge::KernelSpec::parse(spec, target); });
    fourge::c_api::check_args_size(parsed.op(), size, "fourge_buffer_bytes");
    *bytes = fourge::c_api::buffer_bytes(parsed, args, buffer);
  });
}

}  // extern "C"
