// What ranks of a rendezvous say to one another: a header and so many bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/comm/local_socket.hpp"

namespace fourge::comm {

inline constexpr std::uint32_t kFrameMagic = 0x66674152;
inline constexpr std::uint64_t kMostFrameBytes = std::uint64_t{16} << 20U;  // of one rank

enum class FrameKind : std::uint32_t { hello, welcome, data, failure };

struct FrameHeader {
  std::uint32_t magic = kFrameMagic;
  FrameKind kind = FrameKind::data;
  std::uint32_t rank = 0;
  std::uint32_t ranks = 0;
  std::uint64_t sequence = 0;
  std::uint64_t bytes = 0;  // filled in by send_frame()
};
static_assert(sizeof(FrameHeader) == 32);

struct Frame {
  FrameHeader header;
  std::vector<std::byte> payload;
};

Transfer send_frame(const Socket& socket, FrameHeader header, std::span<const std::byte> payload,
                    Clock::time_point deadline);
// What is no frame, or has more bytes than that, counts as closed: it is no rank of this library.
Transfer receive_frame(const Socket& socket, Frame& frame, std::uint64_t most_bytes,
                       Clock::time_point deadline);

}  // namespace fourge::comm
