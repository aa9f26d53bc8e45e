#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fourge/error.hpp>
#include <fourge/rendezvous.hpp>

#include "runtime/comm/local_socket.hpp"
#include "runtime/comm/rendezvous_frames.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <string_view>
#include <thread>

namespace fourge::comm {
namespace {

constexpr int kMostRanks = 64;
constexpr std::chrono::milliseconds kRetry{10};

using Header = FrameHeader;
using Kind = FrameKind;

std::string text_of(const std::vector<std::byte>& payload) {
  return {reinterpret_cast<const char*>(payload.data()), payload.size()};
}

void check_options(const RendezvousOptions& options) {
  if (options.ranks < 1 || options.ranks > kMostRanks) {
    throw Error(
        ErrorKind::invalid_argument,
        fmt::format("rendezvous of {} ranks: 1 to {} are possible", options.ranks, kMostRanks));
  }
  if (options.rank < 0 || options.rank >= options.ranks) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("rendezvous of {} ranks: rank {} is not among 0 to {}", options.ranks,
                            options.rank, options.ranks - 1));
  }
  if (options.path.empty() || options.path.size() > longest_socket_path() ||
      options.path.find('\0') != std::string::npos) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("rendezvous: the path \"{}\" has {} bytes; a socket's has 1 to {}",
                            options.path, options.path.size(), longest_socket_path()));
  }
}

}  // namespace

class UnixRendezvous::Impl {
 public:
  explicit Impl(const RendezvousOptions& options)
      : options_(options), owner_(options.owner.value_or(::geteuid())) {
    check_options(options);
    const auto deadline = Clock::now() + options.patience;
    if (options.ranks == 1) {
      return;
    }
    if (options.rank == 0) {
      listen();
      accept_all(deadline);
      ::unlink(options_.path.c_str());
    } else {
      join(deadline);
    }
  }

  std::vector<std::byte> gather(std::span<const std::byte> mine) {
    const std::lock_guard lock(mutex_);
    if (!failure_.empty()) {
      throw Error(ErrorKind::peer, failure_);
    }
    if (mine.size() > kMostFrameBytes) {
      throw Error(ErrorKind::invalid_argument,
                  fmt::format("{}: {} bytes; at most {} can be gathered", name(), mine.size(),
                              kMostFrameBytes));
    }
    if (options_.ranks == 1) {
      return {mine.begin(), mine.end()};
    }
    const auto deadline = Clock::now() + options_.patience;
    ++sequence_;
    return options_.rank == 0 ? collect(mine, deadline) : exchange(mine, deadline);
  }

 private:
  std::string name() const {
    return fmt::format("rendezvous at {}, rank {} of {}", options_.path, options_.rank,
                       options_.ranks);
  }

  Header header(Kind kind) const {
    Header made;
    made.kind = kind;
    made.rank = static_cast<std::uint32_t>(options_.rank);
    made.ranks = static_cast<std::uint32_t>(options_.ranks);
    made.sequence = sequence_;
    return made;
  }

  // Says it to whoever is still there, and from now on to every caller.
  [[noreturn]] void fail(const std::string& what) {
    failure_ = what;
    const auto deadline = Clock::now() + std::chrono::seconds(1);
    for (Socket& socket : sockets_) {
      if (socket) {
        send_frame(socket, header(Kind::failure), std::as_bytes(std::span(what)), deadline);
        socket.close();
      }
    }
    throw Error(ErrorKind::peer, what);
  }

  [[noreturn]] void fail_io(const std::string& what, int error) const {
    throw Error(ErrorKind::io, fmt::format("{}: {}: {}", name(), what, std::strerror(error)));
  }

  void listen();
  void replace_dead_socket();
  void accept_all(Clock::time_point deadline);
  void admit(Socket socket, Clock::time_point deadline);
  void join(Clock::time_point deadline);
  Socket connect(Clock::time_point deadline);
  std::vector<std::byte> collect(std::span<const std::byte> mine, Clock::time_point deadline);
  std::vector<std::byte> exchange(std::span<const std::byte> mine, Clock::time_point deadline);
  void take_from(std::size_t rank, std::size_t bytes, std::vector<std::byte>& all,
                 Clock::time_point deadline);
  std::vector<std::size_t> missing() const;

  const RendezvousOptions options_;
  const std::uint32_t owner_;
  std::mutex mutex_;
  Socket listener_;
  std::vector<Socket> sockets_;  // rank 0: of each rank, its own is none; else: of rank 0
  std::uint64_t sequence_ = 0;
  std::string failure_;
  std::string stranger_;  // who was not let in
};

void UnixRendezvous::Impl::listen() {
  listener_ = make_socket();
  int error = bind_to(listener_, options_.path);
  if (error == EADDRINUSE) {
    replace_dead_socket();
    error = bind_to(listener_, options_.path);
  }
  if (error != 0) {
    fail_io("cannot bind the socket", error);
  }
  // Nobody can connect before listen(), so nobody finds the wider mode.
  if (::chmod(options_.path.c_str(), S_IRUSR | S_IWUSR) != 0 ||
      ::listen(listener_.get(), kMostRanks) != 0) {
    const int why = errno;
    ::unlink(options_.path.c_str());
    fail_io("cannot listen on the socket", why);
  }
}

void UnixRendezvous::Impl::replace_dead_socket() {
  struct stat status {};
  if (::lstat(options_.path.c_str(), &status) != 0) {
    return;  // gone meanwhile
  }
  if (!S_ISSOCK(status.st_mode) || status.st_uid != owner_) {
    throw Error(ErrorKind::io,
                fmt::format("{}: there is {} of user {} at this path; expected nothing, or a "
                            "socket of user {} that nobody listens on. Choose another path",
                            name(), S_ISSOCK(status.st_mode) ? "a socket" : "something else",
                            status.st_uid, owner_));
  }
  const Socket trial = make_socket();
  if (connect_to(trial, options_.path) != ECONNREFUSED) {
    throw Error(ErrorKind::io, fmt::format("{}: somebody listens on this socket already. Choose "
                                           "another path for this group",
                                           name()));
  }
  ::unlink(options_.path.c_str());
}

std::vector<std::size_t> UnixRendezvous::Impl::missing() const {
  std::vector<std::size_t> ranks;
  for (std::size_t rank = 1; rank < sockets_.size(); ++rank) {
    if (!sockets_[rank]) {
      ranks.push_back(rank);
    }
  }
  return ranks;
}

void UnixRendezvous::Impl::accept_all(Clock::time_point deadline) {
  sockets_.resize(static_cast<std::size_t>(options_.ranks));
  try {
    while (!missing().empty()) {
      pollfd entry{listener_.get(), POLLIN, 0};
      const int ready = ::poll(&entry, 1, remaining(deadline));
      if (ready < 0 && errno == EINTR) {
        continue;
      }
      if (ready <= 0) {
        fail(fmt::format("{}: rank(s) {} did not come within {} ms{}", name(),
                         fmt::join(missing(), ", "), options_.patience.count(), stranger_));
      }
      Socket socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (socket) {
        admit(std::move(socket), deadline);
      }
    }
    for (std::size_t rank = 1; rank < sockets_.size(); ++rank) {
      if (send_frame(sockets_[rank], header(Kind::welcome), {}, deadline) != Transfer::done) {
        fail(fmt::format("{}: rank {} came and went", name(), rank));
      }
    }
  } catch (...) {
    ::unlink(options_.path.c_str());
    throw;
  }
  listener_.close();
}

void UnixRendezvous::Impl::admit(Socket socket, Clock::time_point deadline) {
  std::uint32_t user = 0;
  if (!peer_user(socket, user) || user != owner_) {
    stranger_ = fmt::format("; a process of user {} was turned away, since the ranks belong to {}",
                            user, owner_);
    return;
  }
  Frame frame;
  if (receive_frame(socket, frame, 0, deadline) != Transfer::done ||
      frame.header.kind != Kind::hello) {
    return;  // who connects and says nothing is not missed
  }
  const std::size_t rank = frame.header.rank;
  std::string wrong;
  if (frame.header.ranks != static_cast<std::uint32_t>(options_.ranks)) {
    wrong = fmt::format("{}: ranks is {} on rank 0 and {} on rank {}", name(), options_.ranks,
                        frame.header.ranks, rank);
  } else if (rank == 0 || rank >= sockets_.size() || sockets_[rank]) {
    wrong = fmt::format("{}: there are two ranks {}", name(), rank);
  }
  if (!wrong.empty()) {
    sockets_.push_back(std::move(socket));  // it is told, too
    fail(wrong);
  }
  sockets_[rank] = std::move(socket);
}

Socket UnixRendezvous::Impl::connect(Clock::time_point deadline) {
  std::string found = "nothing was there";
  while (true) {
    struct stat status {};
    if (::lstat(options_.path.c_str(), &status) == 0) {
      if (status.st_uid != owner_) {
        throw Error(ErrorKind::io,
                    fmt::format("{}: what is at this path belongs to user {}; expected {}", name(),
                                status.st_uid, owner_));
      }
      Socket socket = make_socket();
      const int error = connect_to(socket, options_.path);
      if (error == 0) {
        return socket;
      }
      found = std::strerror(error);
    }
    if (Clock::now() >= deadline) {
      throw Error(ErrorKind::peer, fmt::format("{}: rank 0 did not come within {} ms ({})", name(),
                                               options_.patience.count(), found));
    }
    std::this_thread::sleep_for(kRetry);
  }
}

void UnixRendezvous::Impl::join(Clock::time_point deadline) {
  Socket socket = connect(deadline);
  std::uint32_t user = 0;
  if (!peer_user(socket, user) || user != owner_) {
    throw Error(ErrorKind::io, fmt::format("{}: user {} listens on this socket; expected {}",
                                           name(), user, owner_));
  }
  Frame frame;
  Transfer result = send_frame(socket, header(Kind::hello), {}, deadline);
  if (result == Transfer::done) {
    result = receive_frame(socket, frame, kMostFrameBytes, deadline);
  }
  if (result == Transfer::done && frame.header.kind == Kind::failure) {
    throw Error(ErrorKind::peer, text_of(frame.payload));
  }
  if (result != Transfer::done || frame.header.kind != Kind::welcome) {
    throw Error(ErrorKind::peer,
                fmt::format("{}: rank 0 {}", name(),
                            result == Transfer::timeout
                                ? fmt::format("did not get all ranks together within {} ms",
                                              options_.patience.count())
                                : "closed the connection: it ended, died or turned this one away"));
  }
  sockets_.push_back(std::move(socket));
}

void UnixRendezvous::Impl::take_from(std::size_t rank, std::size_t bytes,
                                     std::vector<std::byte>& all, Clock::time_point deadline) {
  Frame frame;
  const Transfer result = receive_frame(sockets_[rank], frame, kMostFrameBytes, deadline);
  if (result != Transfer::done) {
    sockets_[rank].close();
    fail(result == Transfer::closed
             ? fmt::format("{}: rank {} ended or died", name(), rank)
             : fmt::format("{}: rank {} stopped in the middle of its bytes", name(), rank));
  }
  if (frame.header.sequence != sequence_ || frame.payload.size() != bytes) {
    fail(
        fmt::format("{}: all-gather {} has {} bytes on rank 0; rank {} is at its all-gather {} "
                    "with {} bytes",
                    name(), sequence_, bytes, rank, frame.header.sequence, frame.payload.size()));
  }
  std::copy(frame.payload.begin(), frame.payload.end(),
            all.begin() + static_cast<std::ptrdiff_t>(rank * bytes));
}

std::vector<std::byte> UnixRendezvous::Impl::collect(std::span<const std::byte> mine,
                                                     Clock::time_point deadline) {
  std::vector<std::byte> all(sockets_.size() * mine.size());
  std::copy(mine.begin(), mine.end(), all.begin());
  std::vector<std::size_t> waiting;
  for (std::size_t rank = 1; rank < sockets_.size(); ++rank) {
    waiting.push_back(rank);
  }
  while (!waiting.empty()) {
    std::vector<pollfd> entries;
    for (const std::size_t rank : waiting) {
      entries.push_back({sockets_[rank].get(), POLLIN, 0});
    }
    const int ready = ::poll(entries.data(), entries.size(), remaining(deadline));
    if (ready < 0 && errno == EINTR) {
      continue;
    }
    if (ready <= 0) {
      fail(fmt::format("{}: rank(s) {} did not come to all-gather {} within {} ms", name(),
                       fmt::join(waiting, ", "), sequence_, options_.patience.count()));
    }
    std::vector<std::size_t> later;
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      if (entries[i].revents == 0) {
        later.push_back(waiting[i]);
      } else {
        take_from(waiting[i], mine.size(), all, deadline);
      }
    }
    waiting = std::move(later);
  }
  for (std::size_t rank = 1; rank < sockets_.size(); ++rank) {
    if (send_frame(sockets_[rank], header(Kind::data), all, deadline) != Transfer::done) {
      sockets_[rank].close();
      fail(fmt::format("{}: rank {} ended or died", name(), rank));
    }
  }
  return all;
}

std::vector<std::byte> UnixRendezvous::Impl::exchange(std::span<const std::byte> mine,
                                                      Clock::time_point deadline) {
  Frame frame;
  Transfer result = send_frame(sockets_[0], header(Kind::data), mine, deadline);
  // What rank 0 said before it closed is still there to be read.
  if (result != Transfer::timeout) {
    result = receive_frame(sockets_[0], frame, kMostFrameBytes * kMostRanks, deadline);
  }
  if (result == Transfer::done && frame.header.kind == Kind::data &&
      frame.header.sequence == sequence_) {
    return std::move(frame.payload);
  }
  if (result == Transfer::done && frame.header.kind == Kind::failure) {
    failure_ = text_of(frame.payload);
  } else if (result == Transfer::timeout) {
    failure_ = fmt::format("{}: all-gather {} was not complete within {} ms", name(), sequence_,
                           options_.patience.count());
  } else {
    failure_ = fmt::format("{}: rank 0 ended or died", name());
  }
  sockets_[0].close();
  throw Error(ErrorKind::peer, failure_);
}

UnixRendezvous::UnixRendezvous(const RendezvousOptions& options)
    : impl_(std::make_shared<Impl>(options)) {}
UnixRendezvous::~UnixRendezvous() = default;

std::vector<std::byte> UnixRendezvous::gather(std::span<const std::byte> mine) {
  return impl_->gather(mine);
}

AllGather UnixRendezvous::all_gather() const {
  return [impl = impl_](std::span<const std::byte> mine) { return impl->gather(mine); };
}

}  // namespace fourge::comm
