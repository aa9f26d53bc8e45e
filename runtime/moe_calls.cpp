#include <fmt/format.h>

#include <cstdint>
#include <fourge/error.hpp>
#include <fourge/moe.hpp>

#include "runtime/axis_list.hpp"

namespace fourge::moe {
namespace {

const Target& target_of(const DeviceInfo& device) {
  if (!device.target) {
    throw Error(
        ErrorKind::unsupported,
        fmt::format("moe::Calls: fourge has no target for device {}, {} (compute capability "
                    "{}.{}); docs/targets.md lists the targets",
                    device.ordinal, device.name, device.major, device.minor));
  }
  return *device.target;
}

void check_local_experts(const RouteArgs& args) {
  const std::int64_t end = args.maps.first_expert + args.maps.experts;
  if (end > args.topk.experts) {
    throw Error(
        ErrorKind::invalid_argument,
        fmt::format("moe route: local experts [{}, {}) are not among the {} of topk.experts",
                    args.maps.first_expert, end, args.topk.experts));
  }
}

}  // namespace

Calls::Calls(Runtime& runtime, const Target& target, int multiprocessors, bool on_host)
    : runtime_(&runtime), target_(target), multiprocessors_(multiprocessors), on_host_(on_host) {
  if (multiprocessors <= 0) {
    throw Error(
        ErrorKind::invalid_argument,
        fmt::format("moe::Calls: multiprocessors is {}; it must be positive", multiprocessors));
  }
}

Calls::Calls(Runtime& runtime, const DeviceInfo& device)
    : Calls(runtime, target_of(device), device.multiprocessors, false) {}

Calls Calls::on_host(Runtime& runtime, const Target& target, int multiprocessors) {
  return {runtime, target, multiprocessors, true};
}

KernelSpec Calls::spec_of(std::string_view op, const void* pointer, std::string_view axes) const {
  std::string all(axes);
  if (op == MoeSwigluFp8BlockArgs::kOp && !names_axis(axes, "tpc")) {
    const auto& args = *static_cast<const MoeSwigluFp8BlockArgs*>(pointer);
    all += fmt::format("{}tpc={}", all.empty() ? "" : ",",
                       swiglu_tokens_per_cta(args.tokens, args.top_k, args.cols, multiprocessors_));
  }
  return runtime_->parse(all.empty() ? std::string(op) : fmt::format("{}[{}]", op, all), target_);
}

template <class Args>
void Calls::launch(const Args& args, std::string_view axes, CUstream_st* stream) const {
  const KernelSpec chosen = spec(args, axes);
  if (on_host_) {
    runtime_->prepare_host(chosen).launch(args);
  } else {
    runtime_->prepare(chosen, stream).launch(args, stream);
  }
}

void Calls::swiglu_fp8_block(const MoeSwigluFp8BlockArgs& args, std::string_view axes,
                             CUstream_st* stream) const {
  launch(args, axes, stream);
}
void Calls::permute(const MoePermuteArgs& args, std::string_view axes, CUstream_st* stream) const {
  launch(args, axes, stream);
}
void Calls::expand_quantize(const MoeExpandQuantizeArgs& args, std::string_view axes,
                            CUstream_st* stream) const {
  launch(args, axes, stream);
}
void Calls::activation_quantize(const MoeActivationQuantizeArgs& args, std::string_view axes,
                                CUstream_st* stream) const {
  launch(args, axes, stream);
}
void Calls::finalize(const MoeFinalizeArgs& args, std::string_view axes,
                     CUstream_st* stream) const {
  launch(args, axes, stream);
}
void Calls::route_topk(const MoeRouteTopkArgs& args, std::string_view axes,
                       CUstream_st* stream) const {
  launch(args, axes, stream);
}
void Calls::route_maps(const MoeRouteMapsArgs& args, std::string_view axes,
                       CUstream_st* stream) const {
  launch(args, axes, stream);
}
void Calls::rmsnorm_quantize(const RmsnormQuantizeArgs& args, std::string_view axes,
                             CUstream_st* stream) const {
  launch(args, axes, stream);
}

void Calls::route(const RouteArgs& args, std::string_view topk_axes, std::string_view maps_axes,
                  CUstream_st* stream) const {
  MoeRouteMapsArgs maps = args.maps;
  maps.ids = args.topk.ids;
  maps.tokens = args.topk.tokens;
  maps.top_k = args.topk.top_k;
  check_local_experts(args);
  const KernelSpec first = spec(args.topk, topk_axes);
  const KernelSpec second = spec(maps, maps_axes);
  first.op().check_args(first, &args.topk);
  second.op().check_args(second, &maps);
  if (!on_host_) {
    // Both kernels before either launch, so that a failed compile leaves nothing half done.
    const Kernel topk_kernel = runtime_->prepare(first, stream);
    const Kernel maps_kernel = runtime_->prepare(second, stream);
    topk_kernel.launch(args.topk, stream);
    maps_kernel.launch(maps, stream);
    return;
  }
  const HostKernel topk_kernel = runtime_->prepare_host(first);
  const HostKernel maps_kernel = runtime_->prepare_host(second);
  topk_kernel.launch(args.topk);
  maps_kernel.launch(maps);
}

}  // namespace fourge::moe
