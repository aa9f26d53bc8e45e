// Collective calls of the GPUs of one host: 1 to 8 ranks, threads of one process or processes of their own,
// one device each (for tests also several on one: GroupConfig::allow_shared_devices).
//
//   fourge::comm::GroupConfig config;
//   config.rank = rank;
//   config.ranks = ranks;
//   config.max_rows = 2048;
//   config.cols = 7168;
//   config.all_gather = ...;                     // torch.distributed, MPI, <fourge/rendezvous.hpp>
//   fourge::comm::Group group(runtime, config);  // all ranks at once
//   group.prepare("out=nvfp4,layout=128x4");     // compiles; ahead of captures and of the first call
//   group.allreduce_rmsnorm_quantize(args, "out=nvfp4,layout=128x4", stream);
//
// All ranks make the same calls in the same order, each on one stream, with the same rows, axes and graph
// replays; what is added (residual, weight) is a rank's own business only as far as the caller wants equal
// results. Calls are asynchronous and can be captured. docs/allreduce.md has the protocol and its limits.
#pragma once

#include <fourge/allreduce_rmsnorm_quantize.hpp>
#include <fourge/export.hpp>
#include <fourge/kernel.hpp>
#include <fourge/rendezvous.hpp>
#include <fourge/runtime.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace fourge::comm {

enum class Algorithm { automatic, one_shot, two_shot };
// "automatic", "one_shot", "two_shot"
FOURGE_API const char* to_string(Algorithm algorithm) noexcept;

enum class Transport {
  automatic,  // peers where every rank can use every other's memory, else nccl
  peers,      // fourge's kernels, through memory that the ranks share
  nccl,       // NCCL's all-reduce, then rmsnorm_quantize; the order of its sum is NCCL's own
};
// "automatic", "peers", "nccl"
FOURGE_API const char* to_string(Transport transport) noexcept;

// The same on all ranks, but for rank, device, all_gather, nccl_library and nccl_communicator.
struct GroupConfig {
  int rank = 0;
  int ranks = 1;  // 1 to 8
  // The device's number, for its primary context, which the group then keeps and makes current for each
  // call; -1: the context that is current when the group is made. Calls need not have it current.
  int device = -1;
  std::int64_t max_rows = 0;  // the most a call may have
  std::int64_t cols = 0;      // of every call: 1024 to 16384, a multiple of 16
  // The most rows of a one-shot call, and of a two-shot call without barriers: their part of the workspace is
  // 6 * ranks * cols bytes for each. -1: as many as Algorithm::automatic takes and as two-shot has no barriers
  // for (comm::kMostSentinelBytes), or max_rows if `algorithm` is one_shot.
  std::int64_t one_shot_rows = -1;
  std::string dtype = "bf16";  // or "f16"
  // Called several times while the group is made, and by close().
  AllGather all_gather;
  // A kernel that waits for a peer longer than this gives up: Group::check(). For a peer's sums 100 ms more, so that
  // who is named is the one that is missing and not one that waits for it.
  std::chrono::milliseconds deadline{30'000};
  // Of calls whose axes do not name one.
  Algorithm algorithm = Algorithm::automatic;
  Transport transport = Transport::automatic;
  // Lets ranks share a device, so that a machine with fewer devices than ranks can test and develop; nothing
  // is promised about speed. Such ranks' kernels wait for each other while they run beside each other, so
  // all of them must be on the device at once:
  //  - If any device is shared, all launches of the group are so small that they fit: comm::launch_bound().
  //    A device with too few multiprocessors for its ranks is refused.
  //  - Ranks of one process that share a device share its context too (give `device`), and each has a stream of
  //    its own, not the legacy default stream nor one that waits for it. CUDA_DEVICE_MAX_CONNECTIONS must be
  //    at least the number of such streams in use (the driver's default is 8), or streams wait for one another.
  //  - prepare() on all of these ranks, and all allocating, freeing, loading of modules and instantiating of
  //    graphs, comes before the first call of any of them or when no call is on its way: these wait for
  //    the device, and so for kernels that wait for a call not made yet.
  //  - A rank has at most some hundred calls on their way: a thread that waits inside the driver for a
  //    full queue holds up the other ranks.
  //  - What follows a call on its stream by programmatic dependent launch and is no call of the group must not
  //    take the places of CTAs that other ranks' calls need.
  // Whoever breaks these rules meets the deadline. Ranks that are processes take turns on the device, if the driver
  // slices its time: slow, and tested only on a make-believe driver. NCCL takes one rank a device:
  // Transport::nccl is refused then, and so is what would fall back to it.
  bool allow_shared_devices = false;
  std::string nccl_library = "libnccl.so.2";
  // An ncclComm_t of these ranks, which stays the caller's. Null: one is made, where one is needed.
  void* nccl_communicator = nullptr;
};

// How many calls went which way; a captured call counts once, when it is captured.
struct GroupStats {
  std::uint64_t one_shot = 0;
  std::uint64_t two_shot = 0;
  std::uint64_t nccl = 0;
};

// The most rows for which the one-shot algorithm is taken, before anything was measured
// (`fourge tune allreduce` does). Depends on its arguments alone.
FOURGE_API std::int64_t default_one_shot_rows(int ranks, std::int64_t cols) noexcept;

// For how many multiprocessors the launches of a rank are made (AllreduceRmsnormQuantizeArgs) whose device has
// so many and is shared by so many ranks; the group takes the fewest of its ranks. One rank: all. Several: so
// few that the CTAs of two launches of each of them (the second of a programmatic dependent launch is there
// before the first has ended) are together no more than there are multiprocessors: as long as one CTA has no
// place yet, some multiprocessor is empty, and takes it, whatever kinds of CTAs the others have. 0: they do
// not fit.
FOURGE_API int launch_bound(int multiprocessors, int ranks_on_device) noexcept;

// Members may be called by any thread, one at a time for calls that launch: their order counts. The Runtime,
// and contexts of all ranks of this process that are not their devices' primary ones, must outlive the group.
class FOURGE_API Group {
 public:
  // Collective: returns when all ranks have what they need. What is wrong on one rank, or between two, is
  // thrown on all, with the same text:
  //   Error(invalid_argument)  ranks that disagree on a parameter (field, rank and both values are named),
  //                            two ranks on one device without allow_shared_devices, or more than fit on it,
  //                            or in two contexts of one process, a value that cannot be, an all-gather that
  //                            gives no bytes or not those of all ranks
  //   Error(unsupported)       Transport::peers where a device cannot use another's memory, or ranks are
  //                            on several hosts; NCCL where ranks share a device; no current context; no
  //                            target for the device
  //   Error(library_missing)   NCCL is needed and was not found
  //   Error(driver), others    what one rank met
  // An error of the all-gather itself passes on.
  Group(Runtime& runtime, const GroupConfig& config);
  // Waits for no other rank, so that it may follow the death of one. The caller's launches must be done:
  // the driver waits for this device's work, which ends within the deadline.
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  int rank() const noexcept;
  int ranks() const noexcept;
  // Never automatic.
  Transport transport() const noexcept;
  // Why it is nccl; empty otherwise.
  const std::string& transport_reason() const noexcept;
  // What a call with so many rows takes whose axes do not name an algorithm. Never automatic.
  Algorithm algorithm(std::int64_t rows) const noexcept;

  // Compiles and loads all that calls with these axes may need, for this rank's device. Axes are those of
  // the operation but `in` and `ranks`, which the group knows. Throws as Runtime::prepare().
  void prepare(std::string_view axes);

  // Sums x over the ranks and does the rest (<fourge/allreduce_rmsnorm_quantize.hpp>; the members of args
  // that belong to the group are filled in here). Zero rows: nothing happens. With Transport::nccl two
  // launches or more. Throws Error(invalid_argument) for more rows than max_rows, other columns than
  // cols, and what the operation's contract forbids; what check() throws; what prepare() throws if it was not
  // called for these axes: then it compiles here, which a capture refuses. Nothing is launched then.
  void allreduce_rmsnorm_quantize(const AllreduceRmsnormQuantizeArgs& args, std::string_view axes,
                                  CUstream_st* stream, const LaunchOptions& options = {});

  // Throws Error(peer) if a kernel of this group gave up, naming the rank that it waited for, the deadline
  // and the call; and from then on always: a group does not recover, since nobody knows what the others
  // did. What this rank got from the calls before the one named is right, what others do notwithstanding. Every call begins with this; after a graph's replay or a synchronisation it is the caller's to
  // make. Costs one read of host memory.
  void check() const;

  GroupStats stats() const noexcept;

  // Collective: lets go of the peers' memory, waits until all ranks have, and frees this rank's. For an
  // end in order while all ranks live; the destructor is enough otherwise. Afterwards calls throw. Throws
  // what the all-gather throws.
  void close();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fourge::comm
