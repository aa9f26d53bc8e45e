#include "tools/execution.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

namespace fourge::tools {
namespace {

using Clock = std::chrono::steady_clock;

bool can_run(const DeviceInfo& device, const std::optional<Target>& target) {
  return target ? target->runs_on(device.major, device.minor) : device.target.has_value();
}

std::string device_list(const std::vector<DeviceInfo>& devices) {
  std::string list;
  for (const DeviceInfo& device : devices) {
    list += fmt::format("{}{}: {} (compute capability {}.{})", list.empty() ? "" : ", ",
                        device.ordinal, device.name, device.major, device.minor);
  }
  return list;
}

[[noreturn]] void refuse(const std::string& what) { throw Error(ErrorKind::unsupported, what); }

Place numbered_device(int ordinal, const std::vector<DeviceInfo>& devices,
                      const std::optional<Target>& target) {
  for (const DeviceInfo& device : devices) {
    if (device.ordinal != ordinal) {
      continue;
    }
    if (!can_run(device, target)) {
      refuse(fmt::format("device {} cannot run {}", device_list({device}),
                         target ? target->text() : "any target that fourge knows"));
    }
    return device;
  }
  refuse(fmt::format("there is no device {}; devices: {}", ordinal, device_list(devices)));
}

std::size_t parameter_offset(const OpDefinition& op, std::string_view name) {
  for (const Param& param : op.params) {
    if (param.name == name) {
      return param.offset;
    }
  }
  throw Error(ErrorKind::internal,
              fmt::format("{} has a buffer {} that is no parameter", op.name, name));
}

Execution execute_on_host(Runtime& runtime, const KernelSpec& spec, std::span<const std::byte> args,
                          int repeat) {
  Execution execution;
  const auto disk_hits = runtime.stats().disk_hits;
  const auto start = Clock::now();
  const HostKernel kernel = runtime.prepare_host(spec);
  execution.build = Clock::now() - start;
  execution.origin = runtime.stats().disk_hits > disk_hits ? Origin::disk : Origin::compiled;
  for (int i = 0; i < repeat; ++i) {
    const auto begin = Clock::now();
    kernel.launch_args(spec.op().name, args.data(), args.size());
    execution.launches.push_back(Clock::now() - begin);
  }
  return execution;
}

// The op's buffers on the device, and its arguments with their addresses.
class DeviceArguments {
 public:
  DeviceArguments(const DeviceContext& context, const KernelSpec& spec,
                  std::span<const std::byte> args)
      : args_(args.begin(), args.end()), regions_(spec.op().regions(spec, args.data())) {
    for (const BufferRegion& region : regions_) {
      buffers_.emplace_back(context, std::max<std::size_t>(region.bytes, 1));
      const void* address = buffers_.back().data();
      std::memcpy(args_.data() + parameter_offset(spec.op(), region.name), &address,
                  sizeof(address));
    }
  }

  std::span<const std::byte> args() const { return args_; }

  // Buffers that are only written get the host's bytes too, so that a byte which the kernel leaves
  // out keeps its old value.
  void upload(CUstream_st* stream) {
    for (std::size_t i = 0; i < regions_.size(); ++i) {
      if (regions_[i].bytes != 0) {
        buffers_[i].upload(regions_[i].pointer, regions_[i].bytes, stream);
      }
    }
  }
  void download(CUstream_st* stream) const {
    for (std::size_t i = 0; i < regions_.size(); ++i) {
      if (regions_[i].access != Access::read && regions_[i].bytes != 0) {
        buffers_[i].download(const_cast<void*>(regions_[i].pointer), regions_[i].bytes, stream);
      }
    }
  }

 private:
  std::vector<std::byte> args_;
  std::vector<BufferRegion> regions_;
  std::vector<DeviceBuffer> buffers_;
};

Execution execute_on_device(Runtime& runtime, const KernelSpec& spec, const DeviceInfo& device,
                            std::span<const std::byte> args, int repeat) {
  Execution execution;
  const auto artifact = runtime.build(spec);
  execution.origin = artifact->origin;
  execution.key = artifact->key;
  execution.build = artifact->took;

  const DeviceContext context(device.ordinal);
  auto start = Clock::now();
  const Kernel kernel = runtime.prepare(spec);
  execution.load = Clock::now() - start;

  const Stream stream(context);
  start = Clock::now();
  DeviceArguments on_device(context, spec, args);
  on_device.upload(stream.get());
  stream.synchronize();
  execution.copy_in = Clock::now() - start;

  Event begin(context);
  Event end(context);
  for (int i = 0; i < repeat; ++i) {
    begin.record(stream.get());
    kernel.launch_args(spec.op().name, on_device.args().data(), on_device.args().size(),
                       stream.get());
    end.record(stream.get());
    end.synchronize();
    execution.launches.push_back(std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double, std::milli>(Event::milliseconds(begin, end))));
  }

  start = Clock::now();
  on_device.download(stream.get());
  stream.synchronize();
  execution.copy_out = Clock::now() - start;
  return execution;
}

}  // namespace

Place choose_place(const std::string& asked, const std::optional<Target>& target,
                   const PlaceOption& option) {
  if (asked == "host" && option.host) {
    return std::nullopt;
  }
  int ordinal = 0;
  const char* end = asked.data() + asked.size();
  const auto number = std::from_chars(asked.data(), end, ordinal);
  const bool is_number = number.ec == std::errc() && number.ptr == end && ordinal >= 0;
  if (!is_number && asked != "auto" && asked != "gpu") {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{} is \"{}\"; known: {}gpu{}, or a device's number", option.name,
                            asked, option.host ? "auto, " : "", option.host ? ", host" : ""));
  }
  std::string reason;
  const std::vector<DeviceInfo> devices = list_devices(&reason);
  if (devices.empty() && (asked != "auto" || !option.host)) {
    const std::string where = fmt::format("{} {}", option.name, asked);
    refuse(fmt::format(
        "{}: there is no CUDA device ({}); {}", where,
        reason.empty() ? "the driver lists none" : reason,
        option.host ? fmt::format("{} host runs on the CPU", option.name) : "this needs a GPU"));
  }
  if (is_number) {
    return numbered_device(ordinal, devices, target);
  }
  for (const DeviceInfo& device : devices) {
    if (can_run(device, target)) {
      return device;
    }
  }
  if (asked == "gpu") {
    refuse(fmt::format("no device can run {}; devices: {}",
                       target ? target->text() : "any target that fourge knows",
                       device_list(devices)));
  }
  return std::nullopt;
}

std::string describe(const Place& place) {
  return place ? fmt::format("{} (device {})", place->name, place->ordinal) : "host execution";
}

std::chrono::nanoseconds Execution::median_launch() const {
  if (launches.empty()) {
    return {};
  }
  auto sorted = launches;
  std::sort(sorted.begin(), sorted.end());
  return sorted[sorted.size() / 2];
}

Json Execution::to_json() const {
  Json each = Json::array();
  for (const auto launch : launches) {
    each.push_back(milliseconds(launch));
  }
  return {{"origin", to_string(origin)},          {"key", key},
          {"build_ms", milliseconds(build)},      {"load_ms", milliseconds(load)},
          {"copy_in_ms", milliseconds(copy_in)},  {"launch_ms", each},
          {"copy_out_ms", milliseconds(copy_out)}};
}

Execution execute(Runtime& runtime, const KernelSpec& spec, const Place& place,
                  std::span<const std::byte> args, int repeat) {
  return place ? execute_on_device(runtime, spec, *place, args, repeat)
               : execute_on_host(runtime, spec, args, repeat);
}

}  // namespace fourge::tools
