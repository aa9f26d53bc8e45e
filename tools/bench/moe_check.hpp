// Compares some rows of a benchmark's results with the CPU reference, byte for byte: "" or the first
// difference. See BenchOp::check.
#pragma once

#include <string>

#include "tools/bench/bench_ops.hpp"

namespace fourge::tools {

// 448 * 6 over what the spec's outputs, for the inputs of the benchmark, seldom or never exceed, as a calibrated
// encode scale: saturated blocks take another way, which is slower.
float moe_bench_encode_scale(const KernelSpec& spec);

std::string check_moe_swiglu(const KernelSpec& spec, const MatrixShape& shape,
                             const BenchMemory& memory);
std::string check_moe_permute(const KernelSpec& spec, const MatrixShape& shape,
                              const BenchMemory& memory);
std::string check_moe_expand(const KernelSpec& spec, const MatrixShape& shape,
                             const BenchMemory& memory);
std::string check_moe_activation(const KernelSpec& spec, const MatrixShape& shape,
                                 const BenchMemory& memory);
std::string check_moe_finalize(const KernelSpec& spec, const MatrixShape& shape,
                               const BenchMemory& memory);
std::string check_moe_route_topk(const KernelSpec& spec, const MatrixShape& shape,
                                 const BenchMemory& memory);
std::string check_moe_route_maps(const KernelSpec& spec, const MatrixShape& shape,
                                 const BenchMemory& memory);
std::string check_rmsnorm(const KernelSpec& spec, const MatrixShape& shape,
                          const BenchMemory& memory);

}  // namespace fourge::tools
