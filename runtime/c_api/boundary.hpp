// The edge between C++ and the C API: exceptions become statuses and error objects, handles are checked.
#pragma once

#include <fourge/c_error.h>
#include <fourge/error.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

struct fourge_error {
  struct Texts {
    std::string message;
    std::string log;
    std::string source_path;
  };

  fourge_status status;
  std::int32_t driver_status = 0;
  const Texts* texts = nullptr;  // owned; null: no memory for it. Constant-initialised, so no owner
};

namespace fourge::c_api {

// To be called while an exception is handled. error may be null.
fourge_status report_exception(fourge_error** error) noexcept;

// What every function with a status does: runs the body and lets nothing out.
template <class Body>
fourge_status guarded(fourge_error** error, const Body& body) noexcept {
  try {
    body();
  } catch (...) {
    return report_exception(error);
  }
  if (error != nullptr) {
    *error = nullptr;
  }
  return FOURGE_OK;
}

// Throws Error(invalid_argument): "fourge_launch: kernel is NULL".
[[noreturn]] void refuse_null(const char* function, const char* argument);

inline void require(const void* pointer, const char* function, const char* argument) {
  if (pointer == nullptr) {
    refuse_null(function, argument);
  }
}

// Writes a struct that begins with its size, as far as the caller's goes; what is beyond ours becomes
// zero, the size stays. Throws Error(invalid_argument) for a size that is too small to be one.
void write_sized(const void* ours, std::size_t our_size, void* theirs, const char* function);
// Reads one: what the caller's lacks becomes zero. Throws Error(invalid_argument) if it sets members
// that this library does not know.
void read_sized(const void* theirs, void* ours, std::size_t our_size, const char* function);

}  // namespace fourge::c_api
