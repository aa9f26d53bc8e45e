// What `fourge bench` measures of each operation: which variants, and a call's arguments for a matrix
// shape. Buffers and their sizes come from the operation's own definition.
#pragma once

#include <fourge/kernel_spec.hpp>
#include <fourge/launch_choice.hpp>
#include <fourge/op_definition.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fourge::tools {

struct MatrixShape {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

// "1024x7168". Throws Error(invalid_argument).
MatrixShape parse_shape(const std::string& text);
// "1x7168,16x7168".
std::vector<MatrixShape> parse_shapes(const std::string& text);

// What a call's buffers held after it.
class BenchMemory {
 public:
  virtual ~BenchMemory() = default;
  // Throws Error(invalid_argument) for a buffer or a range that the call does not have.
  virtual void read(std::string_view buffer, std::size_t offset, void* to,
                    std::size_t bytes) const = 0;

  template <class T>
  std::vector<T> values(std::string_view buffer, std::int64_t first, std::int64_t count) const {
    std::vector<T> result(static_cast<std::size_t>(count));
    read(buffer, static_cast<std::size_t>(first) * sizeof(T), result.data(),
         result.size() * sizeof(T));
    return result;
  }
};

struct BenchOp {
  std::string_view op;
  // Axes of the variants that are measured when none are named.
  std::vector<std::string> variants;
  // Sets counts and scalars of the zeroed argument struct. Pointers are set by the caller, except
  // those named in `unused`, which stay null.
  void (*fill)(const KernelSpec& spec, const MatrixShape& shape, void* args);
  std::vector<std::string_view> unused;

  // Operations of a mixture of experts: columns of the shapes, whose rows are tokens. 0 for others.
  std::int64_t cols = 0;
  // The exact contents of a buffer, as a routing map; empty for a buffer of random numbers.
  std::vector<std::uint8_t> (*exact)(const KernelSpec& spec, const MatrixShape& shape,
                                     std::string_view buffer) = nullptr;
  // The bytes that a call must move at least. Null: all that it may touch.
  std::size_t (*bytes)(const KernelSpec& spec, const MatrixShape& shape) = nullptr;
  // Compares some of the results with the CPU reference: "" or the first difference.
  std::string (*check)(const KernelSpec& spec, const MatrixShape& shape,
                       const BenchMemory& memory) = nullptr;
  // For these sizes, the axis and value that are added for the variant "auto"; null: there is none.
  std::string (*automatic)(const MatrixShape& shape, int multiprocessors) = nullptr;
  // Rows that a call has for each row of the shape, as choose_launch() counts them: top_k of expanded tokens.
  std::int64_t rows_each = 1;
  // Whether this variant needs a buffer that is among `unused`; null: none does.
  bool (*needs)(const KernelSpec& spec, std::string_view buffer) = nullptr;

  // Whether a call of this variant is given the buffer.
  bool gives(const KernelSpec& spec, std::string_view buffer) const {
    return std::find(unused.begin(), unused.end(), buffer) == unused.end() ||
           (needs != nullptr && needs(spec, buffer));
  }

  CallShape call_shape(const MatrixShape& shape) const {
    return {shape.rows * rows_each, shape.cols};
  }
};

// In a variant's axes, of an operation that has a rule for it: the value that `automatic` gives for a call's sizes.
inline constexpr std::string_view kAutomatic = "tpc=auto";
// The text of a variant as a spec, which has tpc=1 instead.
std::string first_of_automatic(std::string text);

// "OPERATION[AXES]" of those variants that the target takes.
std::vector<std::string> bench_variants(const BenchOp& op, const Target& target);

// All, those of bench_moe_ops() included.
std::span<const BenchOp> bench_ops();
// The operations around a mixture of experts, with rmsnorm_quantize: "moe" on the command line.
std::span<const BenchOp> bench_moe_ops();
// Throws Error(invalid_argument) with the operations that can be measured.
const BenchOp& find_bench_op(std::string_view name);

// Random bytes that are meaningful for a buffer that the kernel reads: bell-shaped numbers for "x" in
// its element type, block scales near one, codes without NaN. Repeats; every buffer of the same kind
// begins alike.
std::vector<std::uint8_t> bench_content(const KernelSpec& spec, std::string_view buffer,
                                        std::size_t bytes);
// Buffers for which this is equal have the same content, but for its length.
std::string bench_content_kind(const KernelSpec& spec, std::string_view buffer);

}  // namespace fourge::tools
