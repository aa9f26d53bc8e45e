// How the ranks of a group find one another: an all-gather of bytes. An embedder has one (torch.distributed,
// MPI, a store of its own) and gives it to comm::Group (<fourge/comm.hpp>) as a function. For tests,
// examples and programs that have none, UnixRendezvous is one for processes and threads of one host.
//
//   fourge::comm::UnixRendezvous meeting({"/run/user/1000/job-17.sock", rank, ranks});
//   config.all_gather = meeting.all_gather();
//
// Rank 0 listens on a Unix socket at the path, the others connect to it. Who connects, and whom one is
// connected to, must belong to the same user. Every wait is bounded. When a rank dies, or something else
// goes wrong, the call that is running throws Error(peer) on all ranks, and so does every later one.
#pragma once

#include <fourge/export.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace fourge::comm {

// Takes this rank's bytes and gives those of all ranks, as many of each, rank 0's first. Every rank calls
// it, in the same order and with the same number of bytes. Throws, whatever it likes, if that fails.
using AllGather = std::function<std::vector<std::byte>(std::span<const std::byte> mine)>;

struct RendezvousOptions {
  // Of the socket, at most 107 bytes. Nobody else should be able to write to its directory. A socket
  // that a dead process left there is replaced; anything else there is an error. It is removed when all
  // ranks have come.
  std::string path;
  int rank = 0;
  int ranks = 1;
  // How long the constructor waits for the other ranks, and how long each all-gather does.
  std::chrono::milliseconds patience{30'000};
  // The user that all ranks belong to. Unset: this process's effective one.
  std::optional<std::uint32_t> owner = std::nullopt;
};

// Thread-safe: calls of one object wait for one another.
class FOURGE_API UnixRendezvous {
 public:
  // Returns when all ranks have come. Throws Error(invalid_argument) for a rank, a number of ranks or a
  // path that cannot be, Error(io) if the socket cannot be made, Error(peer) if a rank did not come in time
  // (it names those missing), came twice, or wants another number of ranks.
  explicit UnixRendezvous(const RendezvousOptions& options);
  // Closes the connections, unless a function of all_gather() still needs them; waits for nobody.
  ~UnixRendezvous();
  UnixRendezvous(const UnixRendezvous&) = delete;
  UnixRendezvous& operator=(const UnixRendezvous&) = delete;

  // At most 16 MiB of each rank.
  std::vector<std::byte> gather(std::span<const std::byte> mine);
  // gather() as a function, which keeps what it needs alive.
  AllGather all_gather() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace fourge::comm
