#include "runtime/c_api/boundary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <utility>

namespace fourge::c_api {
namespace {

// Handed out when there is no memory for another; never changed and never freed.
constinit fourge_error out_of_memory{FOURGE_OUT_OF_MEMORY};

fourge_status status_of(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::invalid_spec:
      return FOURGE_INVALID_SPEC;
    case ErrorKind::invalid_argument:
      return FOURGE_INVALID_ARGUMENT;
    case ErrorKind::unsupported:
      return FOURGE_UNSUPPORTED;
    case ErrorKind::library_missing:
      return FOURGE_LIBRARY_MISSING;
    case ErrorKind::compile_failed:
      return FOURGE_COMPILE_FAILED;
    case ErrorKind::driver:
      return FOURGE_DRIVER;
    case ErrorKind::io:
      return FOURGE_IO;
    case ErrorKind::cancelled:
      return FOURGE_CANCELLED;
    case ErrorKind::frozen:
      return FOURGE_FROZEN;
    case ErrorKind::peer:
      return FOURGE_PEER;
    case ErrorKind::internal:
      break;
  }
  return FOURGE_INTERNAL;
}

struct Found {
  fourge_status status = FOURGE_INTERNAL;
  int driver_status = 0;
  fourge_error::Texts texts = {};
};

// Throws std::bad_alloc at most.
Found found_in_current_exception() {
  try {
    throw;
  } catch (const CompileError& error) {
    return {status_of(error.kind()), 0, {error.what(), error.log(), error.source_path()}};
  } catch (const DriverError& error) {
    return {status_of(error.kind()), error.status(), {error.what(), {}, {}}};
  } catch (const Error& error) {
    return {status_of(error.kind()), 0, {error.what(), {}, {}}};
  } catch (const std::bad_alloc&) {
    return {FOURGE_OUT_OF_MEMORY};
  } catch (const std::exception& error) {
    return {FOURGE_INTERNAL, 0, {error.what(), {}, {}}};
  } catch (...) {
    return {FOURGE_INTERNAL, 0, {"an exception that is none of fourge's", {}, {}}};
  }
}

std::size_t size_of(const void* sized, const char* function) {
  std::size_t size = 0;
  std::memcpy(&size, sized, sizeof(size));
  if (size < sizeof(size)) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: the struct says that it has {} bytes; set its member size to its "
                            "sizeof",
                            function, size));
  }
  return size;
}

}  // namespace

fourge_status report_exception(fourge_error** error) noexcept {
  try {
    Found found = found_in_current_exception();
    if (error != nullptr && found.status == FOURGE_OUT_OF_MEMORY) {
      *error = &out_of_memory;
    } else if (error != nullptr) {
      auto texts = std::make_unique<const fourge_error::Texts>(std::move(found.texts));
      *error = new fourge_error{found.status, found.driver_status, texts.get()};
      static_cast<void>(texts.release());  // the error owns it now
    }
    return found.status;
  } catch (...) {
    if (error != nullptr) {
      *error = &out_of_memory;
    }
    return FOURGE_OUT_OF_MEMORY;
  }
}

void refuse_null(const char* function, const char* argument) {
  throw Error(ErrorKind::invalid_argument, fmt::format("{}: {} is NULL", function, argument));
}

void write_sized(const void* ours, std::size_t our_size, void* theirs, const char* function) {
  const std::size_t size = size_of(theirs, function);
  auto* const to = static_cast<std::byte*>(theirs);
  const std::size_t shared = std::min(size, our_size);
  std::memcpy(to + sizeof(size), static_cast<const std::byte*>(ours) + sizeof(size),
              shared - sizeof(size));
  std::memset(to + shared, 0, size - shared);
}

void read_sized(const void* theirs, void* ours, std::size_t our_size, const char* function) {
  const std::size_t size = size_of(theirs, function);
  const auto* const from = static_cast<const std::byte*>(theirs);
  const std::size_t shared = std::min(size, our_size);
  if (std::any_of(from + shared, from + size, [](std::byte b) { return b != std::byte{0}; })) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: the struct has {} bytes and sets members beyond the {} that this "
                            "library knows; it is older than the header",
                            function, size, our_size));
  }
  std::memset(ours, 0, our_size);
  std::memcpy(ours, from, shared);
}

}  // namespace fourge::c_api

extern "C" {

const char* fourge_status_name(fourge_status status) {
  switch (status) {
    case FOURGE_OK:
      return "ok";
    case FOURGE_INVALID_SPEC:
      return to_string(fourge::ErrorKind::invalid_spec);
    case FOURGE_INVALID_ARGUMENT:
      return to_string(fourge::ErrorKind::invalid_argument);
    case FOURGE_UNSUPPORTED:
      return to_string(fourge::ErrorKind::unsupported);
    case FOURGE_LIBRARY_MISSING:
      return to_string(fourge::ErrorKind::library_missing);
    case FOURGE_COMPILE_FAILED:
      return to_string(fourge::ErrorKind::compile_failed);
    case FOURGE_DRIVER:
      return to_string(fourge::ErrorKind::driver);
    case FOURGE_IO:
      return to_string(fourge::ErrorKind::io);
    case FOURGE_INTERNAL:
      return to_string(fourge::ErrorKind::internal);
    case FOURGE_OUT_OF_MEMORY:
      return "out_of_memory";
    case FOURGE_CANCELLED:
      return to_string(fourge::ErrorKind::cancelled);
    case FOURGE_FROZEN:
      return to_string(fourge::ErrorKind::frozen);
    case FOURGE_PEER:
      return to_string(fourge::ErrorKind::peer);
    default:
      return "unknown";
  }
}

fourge_status fourge_error_status(const fourge_error* error) {
  return error == nullptr ? static_cast<fourge_status>(FOURGE_OK) : error->status;
}

const char* fourge_error_message(const fourge_error* error) {
  if (error == nullptr) {
    return "";
  }
  return error->texts != nullptr ? error->texts->message.c_str() : "the host is out of memory";
}

const char* fourge_error_log(const fourge_error* error) {
  return error == nullptr || error->texts == nullptr ? "" : error->texts->log.c_str();
}

const char* fourge_error_source_path(const fourge_error* error) {
  return error == nullptr || error->texts == nullptr ? "" : error->texts->source_path.c_str();
}

int32_t fourge_error_driver_status(const fourge_error* error) {
  return error == nullptr ? 0 : error->driver_status;
}

void fourge_error_free(fourge_error* error) {
  if (error != nullptr && error != &fourge::c_api::out_of_memory) {
    delete error->texts;
    delete error;
  }
}

}  // extern "C"
