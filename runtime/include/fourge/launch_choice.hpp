// Which variant to take for a call of some shape. Some axes change the speed and not the bits: how many
// rows a CTA takes at a time (tpc), where a row stays until its scale is known (row). Their fastest value
// depends on the shape; here is the one that was the fastest of those measured (tests/gpu/RESULTS.md).
#pragma once

#include <fourge/export.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/op_definition.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace fourge {

// Of the matrix that a call works on. For operations of a mixture of experts rows are its expanded tokens
// (tokens * top_k).
struct CallShape {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

// The spec with those axes set for such a call on such a device, the others as they are. Always legal if
// the spec is, and takes the call's columns if any value of the axes does. A spec of an operation without
// a rule, or of a layout that was not measured, is returned unchanged. Depends on nothing but its arguments;
// the same bits come out of all that it may return. Thread-safe.
FOURGE_API KernelSpec choose_launch(const KernelSpec& spec, const CallShape& shape,
                                    const DeviceFacts& device);

// All legal variants with the spec's results, bit for bit, in the order of the axes' values, the spec's
// own among them if it is legal; with a shape those that take its columns. choose_launch() gives one of
// them.
FOURGE_API std::vector<KernelSpec> launch_candidates(
    const KernelSpec& spec, const std::optional<CallShape>& shape = std::nullopt);

}  // namespace fourge
