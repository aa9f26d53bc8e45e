#include "runtime/comm/rendezvous_frames.hpp"

namespace fourge::comm {

Transfer send_frame(const Socket& socket, FrameHeader header, std::span<const std::byte> payload,
                    Clock::time_point deadline) {
  header.bytes = payload.size();
  const Transfer first = send_all(socket, std::as_bytes(std::span(&header, 1)), deadline);
  return first == Transfer::done ? send_all(socket, payload, deadline) : first;
}

Transfer receive_frame(const Socket& socket, Frame& frame, std::uint64_t most_bytes,
                       Clock::time_point deadline) {
  const Transfer first =
      receive_all(socket, std::as_writable_bytes(std::span(&frame.header, 1)), deadline);
  if (first != Transfer::done) {
    return first;
  }
  if (frame.header.magic != kFrameMagic || frame.header.bytes > most_bytes) {
    return Transfer::closed;
  }
  frame.payload.resize(frame.header.bytes);
  return receive_all(socket, frame.payload, deadline);
}

}  // namespace fourge::comm
