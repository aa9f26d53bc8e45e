#include "runtime/comm/local_socket.hpp"

#include <fmt/format.h>

#include <fourge/error.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

namespace fourge::comm {
namespace {

sockaddr_un address_of(const std::string& path) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), longest_socket_path()));
  return address;
}

// Until the socket is ready or the deadline is there.
bool wait_for(const Socket& socket, short events, Clock::time_point deadline) noexcept {
  while (true) {
    pollfd entry{socket.get(), events, 0};
    const int ready = ::poll(&entry, 1, remaining(deadline));
    if (ready > 0) {
      return true;
    }
    if (ready == 0 || errno != EINTR) {
      return false;
    }
  }
}

bool would_block() noexcept { return errno == EAGAIN || errno == EWOULDBLOCK; }

}  // namespace

void Socket::close() noexcept {
  if (descriptor_ >= 0) {
    ::close(std::exchange(descriptor_, -1));
  }
}

Socket make_socket() {
  Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) {
    throw Error(ErrorKind::io, fmt::format("cannot make a Unix socket: {}", std::strerror(errno)));
  }
  return socket;
}

int remaining(Clock::time_point deadline) noexcept {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

Transfer send_all(const Socket& socket, std::span<const std::byte> bytes,
                  Clock::time_point deadline) noexcept {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    } else if (sent < 0 && would_block()) {
      if (!wait_for(socket, POLLOUT, deadline)) {
        return Transfer::timeout;
      }
    } else if (sent == 0 || errno != EINTR) {
      return Transfer::closed;
    }
  }
  return Transfer::done;
}

Transfer receive_all(const Socket& socket, std::span<std::byte> bytes,
                     Clock::time_point deadline) noexcept {
  while (!bytes.empty()) {
    const ssize_t got = ::recv(socket.get(), bytes.data(), bytes.size(), 0);
    if (got > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(got));
    } else if (got < 0 && would_block()) {
      if (!wait_for(socket, POLLIN, deadline)) {
        return Transfer::timeout;
      }
    } else if (got == 0 || errno != EINTR) {
      return Transfer::closed;
    }
  }
  return Transfer::done;
}

bool peer_user(const Socket& socket, std::uint32_t& user) noexcept {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return false;
  }
  user = credentials.uid;
  return true;
}

int bind_to(const Socket& socket, const std::string& path) noexcept {
  const sockaddr_un address = address_of(path);
  return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0
             ? 0
             : errno;
}

int connect_to(const Socket& socket, const std::string& path) noexcept {
  const sockaddr_un address = address_of(path);
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0
             ? 0
             : errno;
}

std::size_t longest_socket_path() noexcept { return sizeof(sockaddr_un::sun_path) - 1; }

}  // namespace fourge::comm
