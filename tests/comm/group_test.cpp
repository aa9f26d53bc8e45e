// Making groups, on a make-believe libcuda: what is shared, what is refused and how, and that nothing is left.
#include "tests/comm/group_support.hpp"

#include <cstring>
#include <map>

#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

using comm::Algorithm;
using comm::GroupConfig;
using comm::Transport;

void check_all_say(const std::vector<Failure>& failures, ErrorKind kind, const std::string& part) {
  for (const Failure& failure : failures) {
    INFO(failure.text);
    CHECK(failure.thrown);
    CHECK(failure.kind == kind);
    CHECK(failure.says(part));
    CHECK(failure.text == failures[0].text);
  }
}

// Whether all threw nothing.
bool all_well(const std::vector<Failure>& failures) {
  for (const Failure& failure : failures) {
    if (failure.thrown) UNSCOPED_INFO(failure.text);
    if (failure.thrown) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("groups: workspaces hold what the operation needs before the first call", "[comm]") {
  FakeCuda& fake = reset_for_groups();
  const Scratch scratch;
  Runtime runtime(group_options(scratch));
  for (const int ranks : {1, 2, 4}) {
    const comm::WorkspaceLayout layout =
        comm::workspace_layout({ranks, 8, ranks == 1 ? 8 : 3, 1024});
    int right = 0;
    int controls = 0;
    int reports = 0;
    ThreadGather barrier(ranks);
    CHECK(all_well(run_group(
        runtime, ranks, [](GroupConfig& config) { config.one_shot_rows = 3; },
        [&](comm::Group& group, int rank) {
          const std::byte token{0};
          const auto wait = [&] { barrier.of_rank(rank)(std::span(&token, 1)); };
          wait();
          if (rank != 0) return static_cast<void>(wait());
          CHECK(group.rank() == rank);
          CHECK(group.transport() == Transport::peers);
          std::unique_lock memory_lock(fake.memory_mutex);
          for (const FakeAllocation& allocation : fake.memory) {
            const auto* bytes = static_cast<const std::uint8_t*>(allocation.pointer);
            if (bytes == nullptr) continue;
            const auto zero = [bytes](std::size_t size) {
              return std::all_of(bytes, bytes + size, [](std::uint8_t b) { return b == 0; });
            };
            if (allocation.host) {
              reports += allocation.bytes >= comm::kReportBytes && zero(comm::kReportBytes) ? 1 : 0;
            } else if (allocation.bytes == comm::kControlBytes) {
              controls += zero(comm::kControlBytes) ? 1 : 0;
            } else {
              REQUIRE(allocation.bytes >= static_cast<std::size_t>(layout.bytes));
              bool good = zero(static_cast<std::size_t>(layout.one_shot_offset));
              for (auto at = layout.one_shot_offset; at < layout.input_offset; at += 4) {
                std::uint32_t word = 0;
                std::memcpy(&word, bytes + at, 4);
                good = good && word == comm::kSentinelWord;
              }
              right += good ? 1 : 0;
            }
          }
          memory_lock.unlock();
          wait();
        })));
    CHECK(right == ranks);
    CHECK(controls == ranks);
    CHECK(reports == ranks);
    CHECK(fake.live() == 0);
    CHECK(fake.primary_retains == 0);
  }
}

TEST_CASE("groups: ranks that disagree are all told the field, the rank and both values",
          "[comm]") {
  FakeCuda& fake = reset_for_groups();
  const Scratch scratch;
  Runtime runtime(group_options(scratch));
  static FakeCommunicator communicator;
  const std::map<std::string, Changes> cases{
      {"max_rows is 8 on rank 0 and 9 on rank 2", [](GroupConfig& c) { c.max_rows = 9; }},
      {"cols is 1024 on rank 0 and 1040 on rank 2", [](GroupConfig& c) { c.cols = 1040; }},
      {"dtype is bf16 on rank 0 and f16 on rank 2", [](GroupConfig& c) { c.dtype = "f16"; }},
      {"one_shot_rows is -1 on rank 0 and 2 on rank 2",
       [](GroupConfig& c) { c.one_shot_rows = 2; }},
      {"deadline (ms) is 30000 on rank 0 and 1000 on rank 2",
       [](GroupConfig& c) { c.deadline = std::chrono::seconds(1); }},
      {"algorithm is automatic on rank 0 and two_shot on rank 2",
       [](GroupConfig& c) { c.algorithm = Algorithm::two_shot; }},
      {"transport is automatic on rank 0 and peers on rank 2",
       [](GroupConfig& c) { c.transport = Transport::peers; }},
      {"ranks is 3 on rank 0 and 4 on rank 2", [](GroupConfig& c) { c.ranks = 4; }},
      {"nccl_communicator is none on rank 0 and given on rank 2",
       [](GroupConfig& c) { c.nccl_communicator = &communicator; }},
      {"allow_shared_devices is false on rank 0 and true on rank 2",
       [](GroupConfig& c) { c.allow_shared_devices = true; }}};
  for (const auto& [text, change] : cases) {
    INFO(text);
    const auto failures = run_group(runtime, 3, [&change = change](GroupConfig& config) {
      if (config.rank == 2) change(config);
    });
    check_all_say(failures, ErrorKind::invalid_argument, text);
  }
  check_all_say(run_group(runtime, 3, [](GroupConfig& c) { c.device = c.rank == 2 ? 0 : c.rank; }),
                ErrorKind::invalid_argument,
                "ranks 0 and 2 are on one device, Fake GPU A; each rank needs its own "
                "(GroupConfig::allow_shared_devices");
  CHECK(fake.live() == 0);
}

TEST_CASE("groups: a value that cannot be on one rank is an error on all", "[comm]") {
  FakeCuda& fake = reset_for_groups();
  const Scratch scratch;
  Runtime runtime(group_options(scratch));
  const std::map<std::string, Changes> cases{
      {"rank is 2; with 2 ranks it is 0 to 1", [](GroupConfig& c) { c.rank = 2; }},
      {"rank is -1", [](GroupConfig& c) { c.rank = -1; }},
      {"ranks is 9; a group has 1 to 8", [](GroupConfig& c) { c.ranks = 9; }},
      {"ranks is 0", [](GroupConfig& c) { c.ranks = 0; }},
      {"max_rows is 0", [](GroupConfig& c) { c.max_rows = 0; }},
      {"cols is 1008", [](GroupConfig& c) { c.cols = 1008; }},
      {"cols is 16400", [](GroupConfig& c) { c.cols = 16400; }},
      {"cols is 1025", [](GroupConfig& c) { c.cols = 1025; }},
      {"dtype is \"f32\"", [](GroupConfig& c) { c.dtype = "f32"; }},
      {"one_shot_rows is 9", [](GroupConfig& c) { c.one_shot_rows = 9; }},
      {"the deadline is 0 ms", [](GroupConfig& c) { c.deadline = std::chrono::milliseconds(0); }}};
  for (const auto& [text, change] : cases) {
    INFO(text);
    check_all_say(run_group(runtime, 2,
                            [&change = change](GroupConfig& config) {
                              if (config.rank == 1) change(config);
                            }),
                  ErrorKind::invalid_argument, "rank 1: " + text);
  }
  check_all_say(run_group(runtime, 2, [](GroupConfig& c) { c.device = c.rank == 1 ? 7 : 0; }),
                ErrorKind::unsupported, "rank 1: device 7 was asked for; this machine has 4");
  check_all_say(run_group(runtime, 2, [](GroupConfig& c) { c.device = c.rank == 1 ? -1 : 0; }),
                ErrorKind::unsupported, "rank 1: comm::Group: the calling thread has no current");
  CHECK(fake.live() == 0);
  CHECK(fake.primary_retains == 0);
}

TEST_CASE("groups: an all-gather that does not do what it should", "[comm]") {
  FakeCuda& fake = reset_for_groups();
  const Scratch scratch;
  Runtime runtime(group_options(scratch));
  const auto text_with = [&](const comm::AllGather& gather) {
    GroupConfig config = small_config(0, 2);
    config.all_gather = gather;
    return failure_of([&] { const comm::Group group(runtime, config); }).text;
  };
  const auto contains = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  CHECK(contains(text_with({}), "all_gather is empty"));
  CHECK(contains(text_with([](auto) { return std::vector<std::byte>(); }), "gave 0 bytes"));
  CHECK(contains(text_with([](auto mine) { return std::vector<std::byte>(mine.size() + 1); }),
                 "expected those of all"));
  CHECK(contains(text_with([](auto mine) { return std::vector<std::byte>(mine.size() * 2); }),
                 "are not those of rank 0"));
  CHECK(contains(text_with([](auto mine) {
                   std::vector<std::byte> all(mine.begin(), mine.end());
                   all.resize(2 * mine.size());
                   return all;
                 }),
                 "what the all-gather gave for rank 1 is no record"));
  CHECK(contains(
      text_with([](auto mine) { return std::vector<std::byte>(mine.begin(), mine.end()); }),
      "ranks is 2, and the all-gather gave the bytes of 1"));
  CHECK(contains(text_with([](auto) -> std::vector<std::byte> {
                   throw Error(ErrorKind::io, "the network is down");
                 }),
                 "the network is down"));
  CHECK(fake.live() == 0);
  CHECK(fake.primary_retains == 0);
}

TEST_CASE("groups: a driver call that fails on one rank fails on all, and nothing is left",
          "[comm]") {
  const Scratch scratch;
  for (const char* call : {"cuDeviceGetName", "cuDeviceGetUuid", "cuMemAlloc", "cuMemHostAlloc",
                           "cuMemHostGetDevicePointer", "cuMemsetD8", "cuMemsetD32",
                           "cuCtxSynchronize", "cuCtxEnablePeerAccess"}) {
    INFO(call);
    FakeCuda& fake = reset_for_groups();
    Runtime runtime(group_options(scratch));
    fake.failing_device = 1;
    fake.failure = CUDA_ERROR_OUT_OF_MEMORY;
    fake.failing = call;
    const auto failures = run_group(runtime, 3, [](GroupConfig& config) {
      config.transport = Transport::peers;
      config.one_shot_rows = 4;
    });
    check_all_say(failures, ErrorKind::driver, "rank 1: ");
    CHECK(failures[0].says(call));
    fake.failing = "";
    CHECK(fake.live() == 0);
    CHECK(fake.primary_retains == 0);
  }
}

TEST_CASE("groups: devices that cannot use one another's memory", "[comm]") {
  FakeCuda& fake = reset_for_groups();
  const FakeNccl& nccl = reset_nccl();
  const Scratch scratch;
  Runtime runtime(group_options(scratch));
  fake.no_access[2][1] = true;
  check_all_say(run_group(runtime, 3, [](GroupConfig& c) { c.transport = Transport::peers; }),
                ErrorKind::unsupported,
                "rank 2: its device has no peer access to that of rank 1, Fake GPU B");
  check_all_say(run_group(runtime, 3, [](GroupConfig& c) { c.nccl_library = "libno-nccl.so"; }),
                ErrorKind::library_missing, "searched for libno-nccl.so");
  CHECK(all_well(run_group(runtime, 3, nothing, [](comm::Group& group, int) {
    if (group.transport() != Transport::nccl) throw Error(ErrorKind::internal, "not NCCL");
    if (group.transport_reason().find("no peer access") == std::string::npos) {
      throw Error(ErrorKind::internal, group.transport_reason());
    }
  })));
  CHECK(nccl.ids == 1);
  CHECK(nccl.communicators == 0);  // aborted
  CHECK(nccl.bad_ids == 0);
  fake.missing = "cuDeviceCanAccessPeer";
  check_all_say(run_group(runtime, 2, [](GroupConfig& c) { c.transport = Transport::peers; }),
                ErrorKind::unsupported, "no peer access");
  CHECK(fake.live() == 0);
}

TEST_CASE("groups: NCCL that fails on one rank, and communicators that are given", "[comm]") {
  FakeCuda& fake = reset_for_groups();
  FakeNccl& nccl = reset_nccl();
  const Scratch scratch;
  Runtime runtime(group_options(scratch));
  nccl.failing_rank = 1;
  check_all_say(run_group(runtime, 3, [](GroupConfig& c) { c.transport = Transport::nccl; }),
                ErrorKind::driver, "rank 1: ncclCommInitRank failed with 3: words of NCCL");
  CHECK(nccl.communicators == 0);
  FakeCommunicator given[3] = {{0, 3}, {1, 3}, {2, 3}};
  const auto with_given = [&given](GroupConfig& c) {
    c.transport = Transport::nccl;
    c.nccl_communicator = &given[c.rank];
  };
  CHECK(all_well(run_group(runtime, 3, with_given)));
  CHECK(nccl.communicators == 0);  // none was made, and none aborted
  given[2].rank = 0;
  check_all_say(run_group(runtime, 3, with_given), ErrorKind::invalid_argument,
                "the NCCL communicator given is that of rank 0 of 3; the group's rank is 2 of 3");
  CHECK(fake.live() == 0);
}

TEST_CASE("groups: an end in order frees a workspace when all have let go of it", "[comm]") {
  FakeCuda& fake = reset_for_groups();
  const Scratch scratch;
  Runtime runtime(group_options(scratch));
  CHECK(all_well(run_group(runtime, 4, nothing, [](comm::Group& group, int) {
    group.close();
    group.close();
    AllreduceRmsnormQuantizeArgs args;
    args.cols = 1024;
    bool refused = false;
    try {
      group.allreduce_rmsnorm_quantize(args, "", nullptr);
    } catch (const Error&) {
      refused = true;
    }
    if (!refused) throw Error(ErrorKind::internal, "a call after close()");
  })));
  CHECK(fake.live() == 0);
}

TEST_CASE("groups: a rank's memory and its context stay while a peer has it", "[comm]") {
  FakeCuda& fake = reset_for_groups();
  const Scratch scratch;
  Runtime runtime(group_options(scratch));
  for (const bool current : {true, false}) {
    INFO("the context is " << (current ? "the current one" : "named"));
    ThreadGather gather(2);
    ThreadGather meeting(2);
    int retains_seen = -1;
    const auto rank_body = [&](int rank) {
      const std::byte token{0};
      const auto meet = [&] { meeting.of_rank(rank)(std::span(&token, 1)); };
      {
        std::optional<DeviceContext> context;
        if (current) context.emplace(rank, ContextKind::primary, FOURGE_FAKE_CUDA);
        GroupConfig config = small_config(rank, 2);
        if (current) config.device = -1;
        config.all_gather = gather.of_rank(rank);
        const comm::Group group(runtime, config);
        if (rank == 1) {
          meet();  // rank 0 is gone
          retains_seen = fake.primary_retains_of[0];
        }
      }
      if (rank == 0) meet();
    };
    Failure failures[2];
    std::thread other([&] { failures[1] = failure_of([&] { rank_body(1); }); });
    failures[0] = failure_of([&] { rank_body(0); });
    other.join();
    CHECK(failures[0].text == "");
    CHECK(failures[1].text == "");
    CHECK(retains_seen == 1);
    CHECK(fake.live() == 0);
    CHECK(fake.primary_retains == 0);
  }
}

TEST_CASE("groups: a context that is not a primary one is not retained", "[comm]") {
  FakeCuda& fake = reset_for_groups();
  const Scratch scratch;
  Runtime runtime(group_options(scratch));
  for (const bool active : {false, true}) {
    std::optional<DeviceContext> primary;
    if (active) primary.emplace(0, ContextKind::primary, FOURGE_FAKE_CUDA);
    const DeviceContext context(0, ContextKind::separate, FOURGE_FAKE_CUDA);
    const CurrentContext current(context);
    const int before = fake.primary_retains;
    ThreadGather gather(1);
    GroupConfig config = small_config(0, 1);
    config.device = -1;
    config.all_gather = gather.of_rank(0);
    const comm::Group group(runtime, config);
    CHECK(fake.primary_retains == before);
  }
  CHECK(fake.live() == 0);
}

TEST_CASE("groups: processes open one another's memory by IPC, and close it", "[comm]") {
  std::string path = (std::filesystem::temp_directory_path() / "fourge-group-XXXXXX").string();
  REQUIRE(mkdtemp(path.data()) != nullptr);
  for (const bool fails : {false, true}) {
    const auto codes = exit_codes_of_ranks(3, [&](int rank) {
      FakeCuda& fake = reset_for_groups();
      fake.foreign_handles = true;
      const Scratch scratch;
      {
        Runtime runtime(group_options(scratch));
        const comm::UnixRendezvous meeting(
            {path + "/s", rank, 3, std::chrono::seconds(20), std::nullopt});
        GroupConfig config = small_config(rank, 3);
        config.transport = Transport::peers;
        config.all_gather = meeting.all_gather();
        if (fails && rank == 1) fake.failing = "cuIpcOpenMemHandle";
        const Failure failure = failure_of([&] { const comm::Group group(runtime, config); });
        if (failure.thrown != fails || (fails && !failure.says("rank 1: cuIpcOpen"))) return 1;
      }
      if (fake.count("cuIpcOpenMemHandle") != 2) return 2;
      if (fake.count("cuIpcGetMemHandle") != 1 || fake.count("cuCtxEnablePeerAccess") != 0) {
        return 3;
      }
      return fake.live() == 0 ? 0 : 4;
    });
    CHECK(codes == std::vector<int>{0, 0, 0});
  }
  std::filesystem::remove_all(path);
}

}  // namespace fourge::tests
