// What the tests of op definitions share: argument structs are looked at, their memory is not.
#pragma once

#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"

namespace fourge::tests {

// An address that is never read.
template <class T>
T* at(std::uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

// What check_args says of args after the change, for the op with these axes; "accepted" if nothing.
template <class Args>
std::string refusal_with_axes(const std::string& axes, Args args,
                              const std::function<void(Args&)>& change) {
  const KernelSpec spec = KernelSpec::parse(std::string(Args::kOp) + axes + "@sm_90a");
  change(args);
  try {
    spec.op().check_args(spec, &args);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::invalid_argument);
    CHECK(std::string(error.what()).find(spec.text()) != std::string::npos);
    return error.what();
  }
  return "accepted";
}

inline bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Why there is no such variant; "accepted" if there is.
inline std::string refusal_of_spec(const std::string& text) {
  try {
    KernelSpec::parse(text).check();
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

template <class Args>
LaunchShape launch(const std::string& text, const Args& args, int multiprocessors = 132) {
  const KernelSpec spec = KernelSpec::parse(text);
  return spec.op().launch_shape(spec, &args, {multiprocessors});
}

template <class Args>
std::vector<BufferRegion> regions(const char* text, const Args& args) {
  const KernelSpec spec = KernelSpec::parse(text);
  return spec.op().regions(spec, &args);
}

}  // namespace fourge::tests
