// What a request failed with, kept to be thrown as often as it is asked for, on any thread. (A shared
// exception object would be destroyed by whichever thread is the last to look at it.)
#pragma once

#include <fourge/error.hpp>

#include <exception>
#include <memory>
#include <string>
#include <variant>

namespace fourge {

class StoredError {
 public:
  explicit StoredError(const Error& error) : error_(Plain{error.kind(), error.what()}) {}
  explicit StoredError(const CompileError& error)
      : error_(Compile{error.what(), error.log(), error.source_path()}) {}
  explicit StoredError(const DriverError& error) : error_(Device{error.what(), error.status()}) {}

  // Of the exception that is being handled.
  static StoredError of_current() {
    try {
      throw;
    } catch (const CompileError& error) {
      return StoredError(error);
    } catch (const DriverError& error) {
      return StoredError(error);
    } catch (const Error& error) {
      return StoredError(error);
    } catch (const std::exception& error) {
      return StoredError(Error(ErrorKind::internal, error.what()));
    }
  }

  ErrorKind kind() const noexcept {
    if (const auto* plain = std::get_if<Plain>(&error_)) {
      return plain->kind;
    }
    return std::holds_alternative<Compile>(error_) ? ErrorKind::compile_failed : ErrorKind::driver;
  }
  const std::string& message() const noexcept {
    if (const auto* plain = std::get_if<Plain>(&error_)) {
      return plain->message;
    }
    if (const auto* compile = std::get_if<Compile>(&error_)) {
      return compile->message;
    }
    return std::get_if<Device>(&error_)->message;
  }

  [[noreturn]] void raise() const {
    if (const auto* compile = std::get_if<Compile>(&error_)) {
      throw CompileError(compile->message, compile->log, compile->source_path);
    }
    if (const auto* device = std::get_if<Device>(&error_)) {
      throw DriverError(device->message, device->status);
    }
    throw Error(kind(), message());
  }

 private:
  struct Plain {
    ErrorKind kind;
    std::string message;
  };
  struct Compile {
    std::string message;
    std::string log;
    std::string source_path;
  };
  struct Device {
    std::string message;
    int status;
  };
  std::variant<Plain, Compile, Device> error_;
};

}  // namespace fourge
