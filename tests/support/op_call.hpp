// One call of an operation with its expected results, independent of where it runs: the same list
// of calls is executed on the host and on a GPU.
#pragma once

#include <fourge/kernel.hpp>
#include <fourge/kernel_spec.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace fourge::tests {

// Poison of outputs before a call. Bytes that the op must leave alone keep it.
inline constexpr std::uint8_t kPoison = 0xA5;

// One buffer of a call. An input is uploaded and must come back unchanged. An output starts as
// poison and must come back as `bytes`, where bytes the op must not touch are kPoison; a scratch
// buffer starts as `bytes` and is not looked at afterwards.
struct OpBuffer {
  enum class Role { input, output, scratch };
  std::string name;
  Role role;
  std::vector<std::uint8_t> bytes;
};

template <class T>
OpBuffer input_buffer(std::string name, std::span<const T> values) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::vector<std::uint8_t> bytes(values.size_bytes());
  if (!bytes.empty()) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
  }
  return {std::move(name), OpBuffer::Role::input, std::move(bytes)};
}
template <class T>
OpBuffer output_buffer(std::string name, std::span<const T> expected) {
  OpBuffer buffer = input_buffer<T>(std::move(name), expected);
  buffer.role = OpBuffer::Role::output;
  return buffer;
}
template <class T>
OpBuffer output_buffer(std::string name, const std::vector<T>& expected) {
  return output_buffer<T>(std::move(name), std::span<const T>(expected));
}
template <class T>
OpBuffer input_buffer(std::string name, const std::vector<T>& values) {
  return input_buffer<T>(std::move(name), std::span<const T>(values));
}

// What a judge let pass in fast math: codes beside a tie, and blocks with other reciprocals.
struct Excused {
  std::uint64_t codes = 0;
  std::uint64_t blocks = 0;
};

struct OpCall {
  KernelSpec spec;
  std::string label;  // what the input is: "17x208 specials"
  std::vector<OpBuffer> buffers;
  // Launches with the addresses of the buffers, in their order. The kernel is a HostKernel or,
  // through a stream, a Kernel: `launch(args)` is all that may be called.
  std::function<std::vector<std::byte>(std::span<std::uint8_t* const>)> args;
  // Judges the outputs (one vector a buffer, inputs included) instead of byte equality, for fast
  // math: returns the first difference, or "" if there is none.
  std::function<std::string(std::span<const std::vector<std::uint8_t>>)> judge;
  // Where judge adds what it excused; null: it excuses nothing.
  std::shared_ptr<Excused> excused = nullptr;
};

// The bytes of an argument struct, for OpCall::args.
template <class Args>
std::vector<std::byte> args_bytes(const Args& args) {
  static_assert(std::is_trivially_copyable_v<Args>);
  std::vector<std::byte> bytes(sizeof(Args));
  std::memcpy(bytes.data(), &args, sizeof(Args));
  return bytes;
}

// What each buffer holds before the call.
std::vector<std::uint8_t> initial_bytes(const OpBuffer& buffer);
// Compares what came back; "" or the first difference with buffer, offset, expected and found
// bytes.
std::string first_difference(const OpCall& call, std::span<const std::vector<std::uint8_t>> found);

// Runs a call on the host, in buffers aligned as device memory is; "" or the first difference. The
// emulation itself refuses accesses outside the op's buffers.
std::string run_on_host(const HostKernel& kernel, const OpCall& call);

}  // namespace fourge::tests
