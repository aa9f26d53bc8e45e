// Ranks that share devices (GroupConfig::allow_shared_devices), on a make-believe libcuda: what the driver is
// asked for, how large launches are, and what is refused.
#include <filesystem>
#include <optional>

#include "tests/comm/group_support.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

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

void check_no_failure(const std::vector<Failure>& failures) {
  for (const Failure& failure : failures) {
    INFO(failure.text);
    CHECK_FALSE(failure.thrown);
  }
}

AllreduceRmsnormQuantizeArgs some_args(std::int64_t rows) {
  const auto at = [](std::uintptr_t address) { return reinterpret_cast<void*>(address << 20U); };
  AllreduceRmsnormQuantizeArgs args;
  args.x = at(1);
  args.sum_out = at(2);
  args.rows = rows;
  args.cols = 1024;
  return args;
}

// A rank that is a process, all on the first device; 0 if all went as it should.
int rank_of_process(int rank, int ranks, const std::string& path) {
  FakeCuda& fake = reset_for_groups();
  fake.foreign_handles = true;
  const Scratch scratch;
  {
    Runtime runtime(group_options(scratch));
    const comm::UnixRendezvous meeting({path, rank, ranks, std::chrono::seconds(20), std::nullopt});
    GroupConfig config = small_config(rank, ranks);
    on_devices(1)(config);
    config.transport = Transport::peers;
    config.all_gather = meeting.all_gather();
    if (failure_of([&] { const comm::Group group(runtime, config); }).thrown) return 1;
  }
  if (fake.count("cuIpcOpenMemHandle") != static_cast<std::size_t>(ranks - 1)) return 2;
  if (fake.count("cuDeviceCanAccessPeer") != 0) return 3;
  return fake.live() == 0 ? 0 : 4;
}

}  // namespace

TEST_CASE("shared devices: the driver is asked about other devices only", "[comm]") {
  const Scratch scratch;
  struct Row {
    int ranks;
    int devices;
    std::size_t pairs;  // of a rank and another on another device
  };
  for (const Row& row : {Row{2, 1, 0}, Row{4, 1, 0}, Row{4, 2, 8}, Row{3, 2, 4}, Row{4, 4, 12}}) {
    INFO(row.ranks << " ranks on " << row.devices);
    FakeCuda& fake = reset_for_groups();
    Runtime runtime(group_options(scratch));
    check_no_failure(
        run_group(runtime, row.ranks, on_devices(row.devices), [](comm::Group& group, int) {
          if (group.transport() != Transport::peers) throw Error(ErrorKind::internal, "not peers");
          group.close();
        }));
    CHECK(fake.count("cuDeviceCanAccessPeer") == row.pairs);
    CHECK(fake.count("cuCtxEnablePeerAccess") == row.pairs);
    CHECK(fake.count("cuIpcGetMemHandle") == 0);
    CHECK(fake.count("cuIpcOpenMemHandle") == 0);
    CHECK(fake.live() == 0);
    CHECK(fake.primary_retains == 0);
  }
}

TEST_CASE("shared devices: every rank has a workspace of its own, and the CTAs of all of them fit",
          "[comm]") {
  const Scratch scratch;
  const OpDefinition& op = allreduce_rmsnorm_quantize_op();
  for (const int devices : {1, 2, 4}) {
    INFO("4 ranks on " << devices);
    FakeCuda& fake = reset_for_groups();
    fake.param_count = op.params.size();
    for (std::size_t i = 0; i < op.params.size(); ++i) {
      fake.params[i] = {op.params[i].offset, op.params[i].size};
    }
    Runtime runtime(group_options(scratch));
    check_no_failure(run_group(runtime, 4, on_devices(devices), [](comm::Group& group, int) {
      for (const std::int64_t rows : {1, 8}) {
        group.allreduce_rmsnorm_quantize(some_args(rows), "out=sum,algorithm=two_shot", nullptr);
      }
    }));
    REQUIRE(fake.launch_count == 8);
    const unsigned beside = 4U / static_cast<unsigned>(devices);
    for (std::size_t i = 0; i < 8; ++i) {
      const unsigned ctas = fake.launches[i].config.gridDimX;
      CHECK(ctas >= 1);
      // With one rank a device as many as ever, else for two launches of each rank.
      CHECK((beside == 1 ? ctas == 528 : ctas * 2 * beside <= 132));
      std::vector<void*> peers(4);
      for (std::size_t p = 0; p < op.params.size(); ++p) {
        const std::string_view name = op.params[p].name;
        if (name.substr(0, 4) != "peer" || name[4] > '3') continue;
        std::memcpy(&peers[static_cast<std::size_t>(name[4] - '0')],
                    fake.launches[i].values[p].data(), sizeof(void*));
      }
      std::sort(peers.begin(), peers.end());
      CHECK(std::adjacent_find(peers.begin(), peers.end()) == peers.end());
      CHECK(peers[0] != nullptr);
    }
    CHECK(fake.live() == 0);
  }
}

TEST_CASE("shared devices: no launch of ranks within the bound fills the device", "[comm]") {
  CHECK(comm::launch_bound(132, 1) == 132);
  CHECK(comm::launch_bound(132, 2) == 8);
  CHECK(comm::launch_bound(132, 4) == 4);
  CHECK(comm::launch_bound(132, 8) == 2);
  CHECK(comm::launch_bound(16, 2) == 1);
  CHECK(comm::launch_bound(15, 2) == 0);
  for (const int multiprocessors : {20, 78, 132, 148}) {
    for (int ranks = 2; ranks <= comm::kMostRanks; ++ranks) {
      const int bound = comm::launch_bound(multiprocessors, ranks);
      if (bound == 0) continue;
      for (const std::int64_t cols : {1024, 2048, 2880, 7168, 16384}) {
        for (const std::int64_t rows : {1, 2, 8, 22, 128, 2048}) {
          for (const int most : {kAllreduceThreads, kAllreduceThreadsLarge}) {
            const AllreduceLaunch launch = allreduce_launch(rows, rows, cols, bound, most);
            const auto ctas = static_cast<int>(launch.ctas);
            if (2 * ranks * ctas <= multiprocessors) continue;
            INFO(ranks << " ranks, " << rows << " x " << cols << " on " << multiprocessors);
            CHECK(false);
          }
        }
      }
    }
  }
}

TEST_CASE("shared devices: what cannot be is refused on all ranks", "[comm]") {
  FakeCuda& fake = reset_for_groups();
  const FakeNccl& nccl = reset_nccl();
  const Scratch scratch;
  Runtime runtime(group_options(scratch));
  const auto shared = [](int devices, Transport transport) {
    return [=](GroupConfig& config) {
      on_devices(devices)(config);
      config.transport = transport;
    };
  };
  SECTION("more than fit") {
    fake.devices[0].multiprocessors = 31;
    check_no_failure(run_group(runtime, 3, shared(1, Transport::peers)));
    check_all_say(run_group(runtime, 4, shared(1, Transport::peers)), ErrorKind::invalid_argument,
                  "4 ranks are on the device of rank 0, Fake GPU A, with 31 multiprocessors");
  }
  SECTION("two contexts") {
    const auto in_two = [](GroupConfig& config) {
      thread_local std::optional<DeviceContext> context;
      context.emplace(0, config.rank == 1 ? ContextKind::separate : ContextKind::primary,
                      FOURGE_FAKE_CUDA);
      config.device = -1;
      config.allow_shared_devices = true;
    };
    check_all_say(run_group(runtime, 2, in_two), ErrorKind::invalid_argument,
                  "ranks 0 and 1 of one process are on one device, Fake GPU A, in two contexts");
  }
  SECTION("NCCL by configuration") {
    check_all_say(run_group(runtime, 3, shared(2, Transport::nccl)), ErrorKind::unsupported,
                  "NCCL was to be used, as the configuration says so, and takes one rank a device; "
                  "ranks 0 and 2 are on one, Fake GPU A");
  }
  SECTION("NCCL in the place of peers") {
    fake.no_access[1][0] = true;
    check_all_say(
        run_group(runtime, 4, shared(2, Transport::automatic)), ErrorKind::unsupported,
        "its device has no peer access to that of rank 0, Fake GPU A, and takes one rank");
    check_all_say(run_group(runtime, 4, shared(2, Transport::peers)), ErrorKind::unsupported,
                  "cannot use one another's memory");
  }
  CHECK(nccl.ids == 0);
  CHECK(fake.launch_count == 0);
  CHECK(fake.live() == 0);
}

TEST_CASE("shared devices: processes on one device open one another's memory by IPC", "[comm]") {
  std::string path = (std::filesystem::temp_directory_path() / "fourge-shared-XXXXXX").string();
  REQUIRE(mkdtemp(path.data()) != nullptr);
  CHECK(exit_codes_of_ranks(3, [&](int rank) { return rank_of_process(rank, 3, path + "/s"); }) ==
        std::vector<int>{0, 0, 0});
  std::filesystem::remove_all(path);
}

}  // namespace fourge::tests
