// Unix sockets with a deadline for every wait.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace fourge::comm {

using Clock = std::chrono::steady_clock;

class Socket {
 public:
  Socket() = default;
  explicit Socket(int descriptor) noexcept : descriptor_(descriptor) {}
  ~Socket() { close(); }
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    if (this != &other) {
      close();
      descriptor_ = std::exchange(other.descriptor_, -1);
    }
    return *this;
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int get() const noexcept { return descriptor_; }
  explicit operator bool() const noexcept { return descriptor_ >= 0; }
  void close() noexcept;

 private:
  int descriptor_ = -1;
};

// A stream socket that does not block and is closed on exec. Throws Error(io).
Socket make_socket();

// Milliseconds until then for poll(): not negative, rounded up.
int remaining(Clock::time_point deadline) noexcept;

enum class Transfer { done, timeout, closed };

// All of the bytes, or what came between. No signal when the other end is gone.
Transfer send_all(const Socket& socket, std::span<const std::byte> bytes,
                  Clock::time_point deadline) noexcept;
Transfer receive_all(const Socket& socket, std::span<std::byte> bytes,
                     Clock::time_point deadline) noexcept;

// The user at the other end; false if the system does not say.
bool peer_user(const Socket& socket, std::uint32_t& user) noexcept;

// bind(), connect(): 0 or errno.
int bind_to(const Socket& socket, const std::string& path) noexcept;
int connect_to(const Socket& socket, const std::string& path) noexcept;

// The longest path that a socket can have.
std::size_t longest_socket_path() noexcept;

}  // namespace fourge::comm
