#include "tests/support/op_call.hpp"

#include "tests/support/aligned_buffer.hpp"

#include <fmt/format.h>

namespace fourge::tests {

std::vector<std::uint8_t> initial_bytes(const OpBuffer& buffer) {
  if (buffer.role == OpBuffer::Role::output) {
    return std::vector<std::uint8_t>(buffer.bytes.size(), kPoison);
  }
  return buffer.bytes;
}

std::string first_difference(const OpCall& call, std::span<const std::vector<std::uint8_t>> found) {
  for (std::size_t i = 0; i < call.buffers.size(); ++i) {
    const OpBuffer& buffer = call.buffers[i];
    const bool judged_elsewhere = call.judge && buffer.role == OpBuffer::Role::output;
    if (buffer.role == OpBuffer::Role::scratch || judged_elsewhere || found[i] == buffer.bytes) {
      continue;
    }
    for (std::size_t at = 0; at < buffer.bytes.size(); ++at) {
      if (at >= found[i].size() || found[i][at] != buffer.bytes[at]) {
        return fmt::format("{} [{}]: {} byte {} of {}: expected {:02x}, found {}", call.spec.text(),
                           call.label, buffer.name, at, buffer.bytes.size(), buffer.bytes[at],
                           at < found[i].size() ? fmt::format("{:02x}", found[i][at]) : "nothing");
      }
    }
    return fmt::format("{} [{}]: {} has {} bytes too many", call.spec.text(), call.label,
                       buffer.name, found[i].size() - buffer.bytes.size());
  }
  if (call.judge) {
    if (const std::string verdict = call.judge(found); !verdict.empty()) {
      return fmt::format("{} [{}]: {}", call.spec.text(), call.label, verdict);
    }
  }
  return {};
}

std::string run_on_host(const HostKernel& kernel, const OpCall& call) {
  std::vector<AlignedBuffer> buffers;
  std::vector<std::uint8_t*> addresses;
  buffers.reserve(call.buffers.size());
  for (const OpBuffer& buffer : call.buffers) {
    const auto initial = initial_bytes(buffer);
    addresses.push_back(buffers.emplace_back(initial.data(), initial.size()).data());
  }
  const auto args = call.args(addresses);
  kernel.launch_args(call.spec.op().name, args.data(), args.size());
  std::vector<std::vector<std::uint8_t>> found;
  for (const AlignedBuffer& buffer : buffers) {
    found.push_back(buffer.bytes());
  }
  return first_difference(call, found);
}

}  // namespace fourge::tests
