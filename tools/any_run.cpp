#include "tools/any_run.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "jit/axis_value.hpp"
#include "reference/formats.hpp"
#include "tools/report.hpp"

namespace fourge::tools {
namespace {

constexpr int kUnwritten = 0xA5;

[[noreturn]] void refuse(const KernelSpec& spec, const std::string& what) {
  throw Error(ErrorKind::invalid_argument, fmt::format("{}: {}", spec.text(), what));
}

template <class T>
void store(std::vector<std::byte>& args, const Param& param, T value) {
  std::memcpy(args.data() + param.offset, &value, std::min(sizeof value, param.size));
}

std::int64_t size_for(const KernelSpec& spec, std::string_view name, std::int64_t rows,
                      std::int64_t cols) {
  if (name == "rows") {
    return rows;
  }
  if (name == "cols" || name == "padded_cols" || name == "columns") {
    return cols;
  }
  if (name == "elements") {
    return rows * cols;
  }
  if (name == "batches" || name == "experts") {
    return 1;
  }
  if (name == "mapped_rows") {
    return 0;
  }
  refuse(spec,
         fmt::format("fourge run has no value for its parameter {}; call it from a program", name));
}

float scalar_for(std::string_view name) {
  return name == "global_scale_inverse" ? 1.0F / 2688.0F : name == "eps" ? 1e-4F : 1.0F;
}

const Param& param_of(const KernelSpec& spec, std::string_view name) {
  const auto params = spec.op().params;
  return *std::find_if(params.begin(), params.end(),
                       [name](const Param& param) { return param.name == name; });
}

void fill_elements(const KernelSpec& spec, AlignedBytes& bytes, std::mt19937_64& random) {
  const std::string_view type = jit::axis_value(spec, "in");
  const auto number = [&random] {
    float sum = 0;
    for (int i = 0; i < 4; ++i) {
      sum += static_cast<float>(random() >> 40U) * 0x1p-23F - 1.0F;
    }
    return sum * 0.866F;
  };
  if (type == "f32") {
    std::generate_n(bytes.as<float>().begin(), bytes.as<float>().size(), number);
  } else if (type == "bf16" || type == "f16") {
    const auto element = type == "f16" ? reference::ElementType::f16 : reference::ElementType::bf16;
    for (std::uint16_t& value : bytes.as<std::uint16_t>()) {
      value = reference::from_float(element, number());
    }
  } else {
    for (std::uint8_t& value : bytes.as<std::uint8_t>()) {
      value = reference::encode_e4m3(number());
    }
  }
}

void fill(const KernelSpec& spec, const BufferRegion& region, AlignedBytes& bytes,
          std::int64_t rows, std::mt19937_64& random) {
  const std::string_view type = param_of(spec, region.name).type;
  if (region.access == Access::write) {
    std::memset(bytes.data(), kUnwritten, bytes.size());
  } else if (type == "const void*") {
    fill_elements(spec, bytes, random);
  } else if (type == "const unsigned char*") {
    for (std::uint8_t& value : bytes.as<std::uint8_t>()) {
      value = static_cast<std::uint8_t>(random());
    }
  } else if (type == "const float*") {
    std::fill_n(bytes.as<float>().begin(), bytes.as<float>().size(), 1.0F);
  } else {
    std::memset(bytes.data(), 0, bytes.size());
    if (region.name == "valid_rows") {
      std::fill_n(bytes.as<std::int32_t>().begin(), bytes.as<std::int32_t>().size(),
                  static_cast<std::int32_t>(std::min<std::int64_t>(rows, 0x7FFFFFFF)));
    }
  }
}

// FNV-1a of 64 bits.
std::string digest(const AlignedBytes& bytes) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const std::uint8_t byte : bytes.as<std::uint8_t>()) {
    hash = (hash ^ byte) * 0x100000001B3U;
  }
  return fmt::format("{:016x}", hash);
}

}  // namespace

AnyCall make_any_call(const KernelSpec& spec, std::int64_t rows, std::int64_t cols,
                      std::uint64_t seed) {
  constexpr std::int64_t kMost = std::int64_t{1} << 34;
  if (rows < 0 || cols <= 0 || rows > kMost / cols) {
    refuse(spec, fmt::format("--shape {}x{}: rows must not be negative, columns positive, and "
                             "elements at most 2^34",
                             rows, cols));
  }
  const OpDefinition& op = spec.op();
  AnyCall call{std::vector<std::byte>(op.args_size), {}};
  const bool row_scales = jit::axis_value(spec, "scale").starts_with("row");
  for (const Param& param : op.params) {
    if (param.type == "float") {
      store(call.args, param, scalar_for(param.name));
    } else if (param.type.find('*') == std::string_view::npos) {
      store(call.args, param, size_for(spec, param.name, rows, cols));
    } else if (param.name == "global_scale" && row_scales) {
      store(call.args, param, call.args.data());  // so that it counts as one of the buffers
    }
  }
  std::mt19937_64 random(seed);
  for (const BufferRegion& region : op.regions(spec, call.args.data())) {
    AnyBuffer buffer{std::string(region.name), region.access != Access::read,
                     AlignedBytes(region.bytes)};
    fill(spec, region, buffer.bytes, rows, random);
    store(call.args, param_of(spec, region.name), buffer.bytes.data());
    call.buffers.push_back(std::move(buffer));
  }
  op.check_args(spec, call.args.data());
  return call;
}

ExitCode run_any(const AnyRun& run, const CommonOptions& common) {
  AnyCall call = make_any_call(run.spec, run.rows, run.cols, run.seed);
  Runtime runtime(library_options(common));
  const Execution execution = execute(runtime, run.spec, run.place, call.args, run.repeat);
  Json outputs = Json::array();
  std::string text = fmt::format(
      "{}\n  device        {}\n  input         random (seed {}), {}x{}\n  launch        {}\n",
      run.spec.text(), describe(run.place), run.seed, run.rows, run.cols,
      duration_text(execution.median_launch()));
  for (const AnyBuffer& buffer : call.buffers) {
    if (buffer.written) {
      outputs.push_back({{"name", buffer.name},
                         {"bytes", buffer.bytes.size()},
                         {"digest", digest(buffer.bytes)}});
      text += fmt::format("  {:<13} {} bytes, digest {}\n", buffer.name, buffer.bytes.size(),
                          digest(buffer.bytes));
    }
  }
  if (common.json) {
    print_json({{"spec", run.spec.text()},
                {"device", run.place ? run.place->name : "host"},
                {"device_kind", run.place ? "gpu" : "host"},
                {"rows", run.rows},
                {"cols", run.cols},
                {"kernel", execution.to_json()},
                {"outputs", outputs}});
  } else {
    print_text(text);
  }
  return ExitCode::ok;
}

}  // namespace fourge::tools
