// How a group comes into being: a few all-gathers, after each of which all ranks know the same and decide the
// same. What fails on one rank travels with the next all-gather, so that all throw it and none waits.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fourge/error.hpp>
#include <utility>

#include "runtime/comm/algorithm.hpp"
#include "runtime/comm/group_state.hpp"
#include "runtime/comm/tuned_algorithm.hpp"
#include "runtime/driver/kernel_state.hpp"

namespace fourge::comm {
namespace {

constexpr std::chrono::hours kLongestDeadline{24};
constexpr std::int64_t kFewestCols = 1024;
constexpr std::int64_t kMostCols = 16384;

std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

[[noreturn]] void refuse(const std::string& text) {
  throw Error(ErrorKind::invalid_argument, text);
}

void check_config(const GroupConfig& config) {
  if (config.ranks < 1 || config.ranks > kMostRanks) {
    refuse(fmt::format("ranks is {}; a group has 1 to {}", config.ranks, kMostRanks));
  }
  if (config.rank < 0 || config.rank >= config.ranks) {
    refuse(fmt::format("rank is {}; with {} ranks it is 0 to {}", config.rank, config.ranks,
                       config.ranks - 1));
  }
  if (config.dtype != "bf16" && config.dtype != "f16") {
    refuse(fmt::format("dtype is \"{}\"; it is bf16 or f16", config.dtype));
  }
  if (config.max_rows < 1) {
    refuse(fmt::format("max_rows is {}; it must be positive", config.max_rows));
  }
  if (config.cols < kFewestCols || config.cols > kMostCols || config.cols % 16 != 0) {
    refuse(fmt::format("cols is {}; it is {} to {} and a multiple of 16", config.cols, kFewestCols,
                       kMostCols));
  }
  if (config.one_shot_rows < -1 || config.one_shot_rows > config.max_rows) {
    refuse(fmt::format("one_shot_rows is {}; it is -1, or 0 to max_rows, {}", config.one_shot_rows,
                       config.max_rows));
  }
  if (config.deadline.count() < 1 || config.deadline > kLongestDeadline) {
    refuse(fmt::format("the deadline is {} ms; it is 1 ms to a day", config.deadline.count()));
  }
}

// What a body throws, as a record's or report's failure.
template <class Record, class Body>
void guarded(Record& record, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    record.failure_kind = static_cast<int>(error.kind());
    record.failure.set(error.what());
  } catch (const std::exception& error) {
    record.failure_kind = static_cast<int>(ErrorKind::internal);
    record.failure.set(error.what());
  }
}

class Maker {
 public:
  explicit Maker(GroupState& state) : state_(state), config_(state.config) {}

  void make() {
    exchange_records();
    if (config_.transport == Transport::nccl) {
      return use_nccl("the configuration says so");
    }
    const std::string unreachable = find_unreachable();
    if (unreachable.empty()) {
      const std::string unmapped = share_memory();
      if (unmapped.empty()) return;
      return fall_back(unmapped);
    }
    fall_back(unreachable);
  }

 private:
  void fill_record(RankRecord& record);
  void exchange_records();
  void plan_workspace();
  std::vector<StepReport> exchange(StepReport& report);
  std::string find_unreachable();
  void look_for_peers(StepReport& report) const;
  void make_own_memory(StepReport& report);
  void map_peers(const std::vector<StepReport>& handles);
  std::string share_memory();
  void fall_back(const std::string& why);
  void use_nccl(const std::string& why);

  bool is_local(std::size_t rank) const {
    return same_process(state_.records[rank], state_.records[index(config_.rank)]);
  }
  int local_peers() const {
    int count = -1;  // this rank itself
    for (std::size_t rank = 0; rank < state_.records.size(); ++rank)
      count += is_local(rank) ? 1 : 0;
    return count;
  }

  GroupState& state_;
  const GroupConfig& config_;
  std::uint32_t step_ = 0;
};

void Maker::fill_record(RankRecord& record) {
  record.rank = config_.rank;
  record.ranks = config_.ranks;
  record.max_rows = config_.max_rows;
  record.cols = config_.cols;
  record.one_shot_rows = config_.one_shot_rows;
  record.deadline_ms = config_.deadline.count();
  record.dtype.set(config_.dtype);
  record.algorithm.set(to_string(config_.algorithm));
  record.transport.set(to_string(config_.transport));
  record.communicator_given = config_.nccl_communicator != nullptr ? 1 : 0;
  record.shared_devices_allowed = config_.allow_shared_devices ? 1 : 0;
  record.process = process_identity();
  record.host.set(host_identity());
  guarded(record, [&] {
    check_config(config_);
    state_.context = std::make_shared<const GroupContext>(
        Driver::load(state_.runtime->options().driver_library), config_.device);
    const Driver& driver = state_.driver();
    const CUdevice device = state_.context->device();
    const ContextScope scope(driver, state_.context->get());
    record.context = reinterpret_cast<std::uintptr_t>(state_.context->get());
    state_.target = detail::device_target(driver);
    char name[256] = {};
    driver.check(driver.cuDeviceGetName(name, sizeof(name) - 1, device), "cuDeviceGetName");
    record.device_name.set(name);
    CUuuid uuid{};
    driver.check(driver.cuDeviceGetUuid(&uuid, device), "cuDeviceGetUuid");
    std::memcpy(record.device_uuid.data(), uuid.bytes, sizeof(uuid.bytes));
    int multiprocessors = 0;
    driver.check(driver.cuDeviceGetAttribute(&multiprocessors,
                                             CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device),
                 "cuDeviceGetAttribute");
    record.multiprocessors = multiprocessors;
    const CrossingQuestion question{name,          multiprocessors, *state_.target,
                                    config_.ranks, config_.cols,    config_.dtype};
    record.crossing_rows = find_crossing(state_.runtime->options(), question)
                               .value_or(default_one_shot_rows(config_.ranks, config_.cols));
  });
}

void Maker::exchange_records() {
  RankRecord mine;
  fill_record(mine);
  const bool known = mine.rank >= 0 && mine.rank < mine.ranks;
  state_.records =
      gather_records(config_.all_gather, mine, known ? index(mine.rank) : kUnknownRank, 0);
  check_records(state_.records);
  state_.multiprocessors = launch_multiprocessors(state_.records);
  plan_workspace();
}

// From the records alone: the same on all ranks.
void Maker::plan_workspace() {
  const std::int64_t crossing = std::min(state_.records[0].crossing_rows, config_.max_rows);
  std::int64_t capacity = config_.one_shot_rows;
  if (capacity < 0) {
    const std::int64_t without_barriers =
        std::min(config_.max_rows, kMostSentinelBytes / (2 * config_.cols));
    capacity = config_.algorithm == Algorithm::one_shot   ? config_.max_rows
               : config_.algorithm == Algorithm::two_shot ? without_barriers
                                                          : std::max(crossing, without_barriers);
  }
  if (config_.ranks == 1) capacity = std::max(capacity, config_.max_rows);
  state_.one_shot_rows = std::min(crossing, capacity);
  state_.layout = workspace_layout({config_.ranks, config_.max_rows, capacity, config_.cols});
}

std::vector<StepReport> Maker::exchange(StepReport& report) {
  report.step = ++step_;
  return gather_records(config_.all_gather, report, index(config_.rank), index(config_.ranks));
}

// The ordinal of each peer's device in this process, and whether this device can use its memory. Its own it
// can; to the driver a device is no peer of itself.
void Maker::look_for_peers(StepReport& report) const {
  const Driver& driver = state_.driver();
  int count = 0;
  driver.check(driver.cuDeviceGetCount(&count), "cuDeviceGetCount");
  for (std::size_t rank = 0; rank < state_.records.size(); ++rank) {
    const RankRecord& peer = state_.records[rank];
    if (same_device(peer, state_.records[index(config_.rank)])) continue;
    std::string why = fmt::format(
        "the device of rank {}, {}, is not among those this process sees "
        "(CUDA_VISIBLE_DEVICES)",
        rank, peer.device_name.view());
    for (int ordinal = 0; ordinal < count; ++ordinal) {
      CUdevice device = 0;
      CUuuid uuid{};
      driver.check(driver.cuDeviceGet(&device, ordinal), "cuDeviceGet");
      driver.check(driver.cuDeviceGetUuid(&uuid, device), "cuDeviceGetUuid");
      if (std::memcmp(uuid.bytes, peer.device_uuid.data(), sizeof(uuid.bytes)) != 0) continue;
      int can = 0;
      if (driver.cuDeviceCanAccessPeer != nullptr) {
        driver.check(driver.cuDeviceCanAccessPeer(&can, state_.context->device(), device),
                     "cuDeviceCanAccessPeer");
      }
      why = can != 0 ? ""
                     : fmt::format("its device has no peer access to that of rank {}, {}", rank,
                                   peer.device_name.view());
    }
    if (why.empty()) continue;
    if (report.unreachable == 0) report.reason.set(why);
    report.unreachable |= std::uint64_t{1} << rank;
  }
}

std::string Maker::find_unreachable() {
  if (!same_host(state_.records)) return "the ranks are on several hosts";
  StepReport report;
  guarded(report, [&] { look_for_peers(report); });
  const auto reports = exchange(report);
  check_reports(reports, step_);
  return unreachable_text(reports);
}

void Maker::make_own_memory(StepReport& report) {
  const WorkspaceLayout& layout = state_.layout;
  const CUcontext context = state_.context->get();
  const auto& driver = state_.context->driver();
  const ContextScope scope(*driver, context);
  const bool exported = local_peers() + 1 < config_.ranks;
  state_.control = DeviceMemory(driver, context, kControlBytes);
  state_.report = MappedHostMemory(driver, context, kReportBytes);
  state_.own.emplace(state_.context, static_cast<std::size_t>(layout.bytes), local_peers(),
                     exported);
  try {
    const CUdeviceptr own = state_.own->get();
    const auto flags = static_cast<std::size_t>(layout.one_shot_offset);
    const auto slots = static_cast<std::size_t>(layout.input_offset) - flags;
    driver->check(driver->cuMemsetD8(state_.control.get(), 0, kControlBytes), "cuMemsetD8",
                  "a group's control memory");
    driver->check(driver->cuMemsetD8(own, 0, flags), "cuMemsetD8", "a group's flags");
    if (slots != 0) {
      driver->check(driver->cuMemsetD32(own + flags, kSentinelWord, slots / 4), "cuMemsetD32",
                    "a group's one-shot area");
    }
    driver->check(driver->cuCtxSynchronize(), "cuCtxSynchronize", "a group's workspace");
  } catch (...) {
    state_.own->drop_references(local_peers());
    state_.own.reset();
    throw;
  }
  const MemoryHandle handle = state_.own->handle();
  static_assert(sizeof(handle) <= sizeof(report.payload));
  std::memcpy(report.payload.data(), &handle, sizeof(handle));
}

// Each handle is taken, whatever happens to those before it.
void Maker::map_peers(const std::vector<StepReport>& handles) {
  std::exception_ptr first;
  const auto pointer = [](CUdeviceptr address) {
    return reinterpret_cast<void*>(static_cast<std::uintptr_t>(address));
  };
  for (std::size_t rank = 0; rank < handles.size(); ++rank) {
    if (rank == index(config_.rank)) {
      state_.addresses[rank] = pointer(state_.own->get());
      continue;
    }
    MemoryHandle handle;
    std::memcpy(&handle, handles[rank].payload.data(), sizeof(handle));
    try {
      state_.peers.emplace_back(state_.context->driver(), state_.context->get(), handle,
                                is_local(rank));
      state_.addresses[rank] = pointer(state_.peers.back().get());
    } catch (...) {
      if (!first) first = std::current_exception();
    }
  }
  if (first) std::rethrow_exception(first);
}

// Empty if all is well; else why memory could not be mapped on some rank, and nothing is left of it.
std::string Maker::share_memory() {
  StepReport made;
  guarded(made, [&] { make_own_memory(made); });
  // If this throws, whether the others have the handle is not known: their references stay.
  const auto handles = exchange(made);
  try {
    check_reports(handles, step_);
  } catch (...) {
    if (state_.own) state_.own->drop_references(local_peers());
    throw;
  }
  StepReport mapped;
  state_.peers.reserve(handles.size());
  guarded(mapped, [&] { map_peers(handles); });
  const auto reports = exchange(mapped);
  try {
    check_reports(reports, step_);
  } catch (const Error& error) {
    state_.peers.clear();
    state_.own.reset();
    if (config_.transport == Transport::peers) throw;
    return error.what();
  }
  return {};
}

void Maker::fall_back(const std::string& why) {
  if (config_.transport == Transport::peers) {
    throw Error(ErrorKind::unsupported,
                fmt::format("comm::Group: the ranks cannot use one another's memory: {}. "
                            "Transport::automatic takes NCCL then",
                            why));
  }
  const auto& log = state_.runtime->options().log;
  if (log) log(LogLevel::info, fmt::format("comm::Group: NCCL is used: {}", why));
  use_nccl(why);
}

void Maker::use_nccl(const std::string& why) {
  if (const auto pair = ranks_on_one_device(state_.records)) {
    throw Error(ErrorKind::unsupported,
                fmt::format("comm::Group: NCCL was to be used, as {}, and takes one rank a device; "
                            "ranks {} and {} are on one, {}",
                            why, pair->first, pair->second,
                            state_.records[pair->first].device_name.view()));
  }
  state_.transport = Transport::nccl;
  state_.reason = why;
  std::shared_ptr<const NcclLibrary> library;
  StepReport found;
  NcclUniqueId id{};
  static_assert(sizeof(id) <= sizeof(found.payload));
  const std::size_t bytes =
      static_cast<std::size_t>(config_.max_rows) * static_cast<std::size_t>(config_.cols) * 2;
  guarded(found, [&] {
    library = NcclLibrary::load(config_.nccl_library);
    state_.scratch = DeviceMemory(state_.context->driver(), state_.context->get(), bytes);
    state_.spare = DeviceMemory(state_.context->driver(), state_.context->get(), bytes);
    state_.codes = DeviceMemory(state_.context->driver(), state_.context->get(), bytes / 2);
    if (config_.rank == 0 && config_.nccl_communicator == nullptr) id = make_nccl_id(*library);
    std::memcpy(found.payload.data(), &id, sizeof(id));
  });
  const auto reports = exchange(found);
  check_reports(reports, step_);
  std::memcpy(&id, reports[0].payload.data(), sizeof(id));
  StepReport joined;
  guarded(joined, [&] {
    const ContextScope scope(state_.driver(), state_.context->get());
    state_.nccl = config_.nccl_communicator != nullptr
                      ? std::make_unique<NcclReduce>(library, config_.nccl_communicator,
                                                     config_.rank, config_.ranks)
                      : std::make_unique<NcclReduce>(library, id, config_.rank, config_.ranks);
  });
  const auto results = exchange(joined);
  check_reports(results, step_);
}

}  // namespace

void make_group(GroupState& state) {
  if (!state.config.all_gather) {
    refuse("comm::Group: all_gather is empty; give the embedder's, or that of a UnixRendezvous");
  }
  Maker(state).make();
}

}  // namespace fourge::comm
