// An operation, defined in one place: its axes, which combinations are legal, its argument struct, its
// launch rule and its device template. Everything else (variants, spec text, key, entry signature,
// argument checks, host execution) is derived from this.
//
// A definition is constant and outlives what is made from it: give it static storage. Its functions are
// called from any threads, several at once, check_args and launch_shape at every launch: these
// allocate nothing, except to throw. What they throw goes to the caller of launch() or prepare().
#pragma once

#include <fourge/export.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fourge {

class KernelSpec;

// One value of an axis: its canonical text, what it means, and the C++ expression that stands for it in
// the generated Config struct.
struct AxisValue {
  std::string_view text;
  std::string_view expression;
  std::string_view summary;
};

// One choice that specialises the kernel. The first value is the default.
struct Axis {
  std::string_view name;      // as in the spec text: "layout"
  std::string_view constant;  // as in the generated Config struct: "kLayout"
  std::string_view summary;
  std::span<const AxisValue> values;
  // The value that serves for all shapes, if values differ in speed and in the shapes they take and never
  // in results or layouts. Empty: they differ in results. KernelSpec::fallback() depends on it.
  std::string_view general = {};
};

// One parameter of the kernel's entry and the member of the argument struct that it is read from.
// Offsets equal those of the CUDA parameter space (natural alignment), checked when a cubin is loaded.
struct Param {
  std::string_view name;
  std::string_view type;  // C++ type in the generated source: "const void*", "long long"
  std::size_t offset;
  std::size_t size;
};

struct LaunchShape {
  std::uint32_t grid[3] = {1, 1, 1};
  std::uint32_t block[3] = {1, 1, 1};
  std::uint32_t dynamic_shared_bytes = 0;
  bool empty = false;  // nothing to do (zero rows): nothing is launched
  // So many CTAs, one after another along x, form a thread-block cluster (sm_90 and later): at most 8,
  // and grid[0] is a multiple of it.
  std::uint32_t cluster = 1;
};

// What a launch rule may depend on. Host execution passes its own facts.
struct DeviceFacts {
  int multiprocessors = 1;
};

enum class Access { read, write, read_write };

// The exact memory a call may touch: what host execution enforces and tests put guard bands around.
struct BufferRegion {
  std::string_view name;
  const void* pointer;
  std::size_t bytes;
  Access access;
};

struct OpDefinition {
  std::string_view name;
  std::string_view summary;
  std::span<const Axis> axes;
  // Built in: below kernel_templates/, "nvfp4_quantize.cuh". Added (<fourge/op_registry.hpp>): from
  // the root of its template directory.
  std::string_view template_file;
  // Function template over Config, "nvfp4_quantize_kernel". Without a namespace it is in fourge_device.
  std::string_view entry_function;
  std::span<const Param> params;
  std::size_t args_size;

  // The most threads a CTA of a variant has (its launch bound); the launch rule may ask for fewer.
  int (*block_threads)(const KernelSpec& spec);
  // Why this combination of axis values is illegal; empty if it is legal.
  std::string (*refusal)(const KernelSpec& spec);
  // Throws Error(invalid_argument) that names the argument; args points to the op's argument struct.
  void (*check_args)(const KernelSpec& spec, const void* args);
  LaunchShape (*launch_shape)(const KernelSpec& spec, const void* args, const DeviceFacts& device);
  std::vector<BufferRegion> (*regions)(const KernelSpec& spec, const void* args);
  // So many CTAs should fit on a multiprocessor, which bounds the registers; null or 0: the compiler's
  // choice. (The second launch bound.)
  int (*min_ctas)(const KernelSpec& spec) = nullptr;
  // The most dynamic shared memory that a launch asks for, in bytes. Needed where it and the static part may be more than the
  // 48 KiB that a CTA gets by default: the limit is raised when the kernel is loaded. Null: no more than that.
  std::uint32_t (*max_dynamic_shared)(const KernelSpec& spec) = nullptr;
};

// All operations, in the order of the documentation.
FOURGE_API std::span<const OpDefinition* const> all_ops();
// Throws Error(invalid_spec) with the known names.
FOURGE_API const OpDefinition& find_op(std::string_view name);
// Every legal combination of axis values, for one target.
FOURGE_API std::vector<KernelSpec> legal_variants(const OpDefinition& op,
                                                  const class Target& target);

}  // namespace fourge
