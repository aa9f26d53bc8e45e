// Block scales from the linear layout (row-major) to a tiled one and back. One byte a scale, whatever its
// format; bytes are moved as they are.
// Axis layout: 128x4 or 8x4. The offsets of the layouts are in docs/numerics.md.
//
//   linear        [batches, rows, columns] bytes, dense, 16-byte aligned
//   tiled         for each batch tiled_scale_bytes(...) bytes, 16-byte aligned; each batch is padded on
//                 its own. scale_interleave writes all of it, padding as 0x00; scale_deinterleave does
//                 not look at padding.
//   rows >= 0, batches >= 0; columns > 0: scales in a row, cols / 16 or cols / 32 of the tensor
//
// scale_interleave reads linear and writes tiled, scale_deinterleave the reverse; with the same shape
// each undoes the other. Where rows and columns are multiples of the tile's, nothing is padding.
//
// Calls are asynchronous on the caller's stream; the buffers must stay valid until the kernel is done.
// They must not overlap.
// Streams, threads and errors: <fourge/kernel.hpp>.
#pragma once

#include <fourge/export.hpp>
#include <fourge/op_definition.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fourge {

struct ScaleInterleaveArgs {
  static constexpr std::string_view kOp = "scale_interleave";

  const std::uint8_t* linear = nullptr;
  std::uint8_t* tiled = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t batches = 1;
};

struct ScaleDeinterleaveArgs {
  static constexpr std::string_view kOp = "scale_deinterleave";

  const std::uint8_t* tiled = nullptr;
  std::uint8_t* linear = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t batches = 1;
};

// Bytes of one batch's tiled scales for the layout text of a spec ("128x4", "8x4").
FOURGE_API std::size_t tiled_scale_bytes(std::string_view layout, std::int64_t rows,
                                         std::int64_t columns);

// The definitions behind the spec texts "scale_interleave[...]" and "scale_deinterleave[...]".
FOURGE_API const OpDefinition& scale_interleave_op();
FOURGE_API const OpDefinition& scale_deinterleave_op();

}  // namespace fourge
