// The operations around a mixture of experts as typed calls: one function an operation, which prepares
// its kernel (a look-up after the first time) and launches it.
//
//   fourge::moe::Calls moe(runtime, device);                 // device: that of the current context
//   moe.route({topk, maps}, "in=f32,method=deepseek", "index=padded", stream);
//   moe.expand_quantize(expand, "format=nvfp4,index=padded", stream);
//   ...                                                      // the first grouped matrix product
//   moe.swiglu_fp8_block(swiglu, "", stream);                // tpc by the device's size
//   ...                                                      // the second one
//   moe.finalize(finalize, "index=padded", stream);
//
// `axes` is what stands in a spec's brackets; axes left out are at their default. Arguments, contracts
// and axes are those of the operations' headers; memory, streams, threads and errors those of
// <fourge/kernel.hpp>. A first call compiles, which a stream capture refuses; prepare() does it ahead and
// returns the kernel, whose launch() spares the look-up.
#pragma once

#include <fourge/device.hpp>
#include <fourge/export.hpp>
#include <fourge/moe_activation_quantize.hpp>
#include <fourge/moe_expand_quantize.hpp>
#include <fourge/moe_finalize.hpp>
#include <fourge/moe_permute.hpp>
#include <fourge/moe_route.hpp>
#include <fourge/moe_route_maps.hpp>
#include <fourge/moe_swiglu_fp8_block.hpp>
#include <fourge/rmsnorm_quantize.hpp>
#include <fourge/runtime.hpp>

#include <string>
#include <string_view>

namespace fourge::moe {

// Both launches of a routing. What the maps need of the first launch, ids, tokens and top_k, is taken
// from `topk`: topk.ids is the workspace between the two, and a result.
struct RouteArgs {
  MoeRouteTopkArgs topk;
  MoeRouteMapsArgs maps;
};

// Thread-safe, as the runtime, which must outlive it.
class FOURGE_API Calls {
 public:
  // On the GPU. Throws Error(unsupported) for a device that fourge has no target for.
  Calls(Runtime& runtime, const DeviceInfo& device);
  // On the CPU, for this target; streams are not looked at. For tests.
  static Calls on_host(Runtime& runtime, const Target& target, int multiprocessors);

  // The spec of a call: axes, and for moe_swiglu_fp8_block without an axis tpc the value that
  // swiglu_tokens_per_cta() gives for these sizes and this device. Throws Error(invalid_spec).
  template <class Args>
  KernelSpec spec(const Args& args, std::string_view axes) const {
    return spec_of(Args::kOp, &args, axes);
  }
  // The kernel of a call with such arguments, on the GPU.
  template <class Args>
  Kernel prepare(const Args& args, std::string_view axes) const {
    return runtime_->prepare(spec(args, axes));
  }

  void swiglu_fp8_block(const MoeSwigluFp8BlockArgs& args, std::string_view axes,
                        CUstream_st* stream) const;
  void permute(const MoePermuteArgs& args, std::string_view axes, CUstream_st* stream) const;
  void expand_quantize(const MoeExpandQuantizeArgs& args, std::string_view axes,
                       CUstream_st* stream) const;
  void activation_quantize(const MoeActivationQuantizeArgs& args, std::string_view axes,
                           CUstream_st* stream) const;
  void finalize(const MoeFinalizeArgs& args, std::string_view axes, CUstream_st* stream) const;
  void route_topk(const MoeRouteTopkArgs& args, std::string_view axes, CUstream_st* stream) const;
  void route_maps(const MoeRouteMapsArgs& args, std::string_view axes, CUstream_st* stream) const;
  void rmsnorm_quantize(const RmsnormQuantizeArgs& args, std::string_view axes,
                        CUstream_st* stream) const;

  // route_topk, then route_maps with its ids. Nothing is launched if the arguments of either are bad, or
  // the local experts are not among topk.experts. axes: of the two operations.
  void route(const RouteArgs& args, std::string_view topk_axes, std::string_view maps_axes,
             CUstream_st* stream) const;

 private:
  Calls(Runtime& runtime, const Target& target, int multiprocessors, bool on_host);
  KernelSpec spec_of(std::string_view op, const void* args, std::string_view axes) const;
  template <class Args>
  void launch(const Args& args, std::string_view axes, CUstream_st* stream) const;

  Runtime* runtime_;
  Target target_;
  int multiprocessors_;
  bool on_host_;
};

}  // namespace fourge::moe
