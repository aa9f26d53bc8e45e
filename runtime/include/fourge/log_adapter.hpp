// A logger of your own for Options::log, such as one of spdlog:
//
//   fourge::Options options = fourge::Options::from_environment();
//   options.log = fourge::log_to(my_logger);  // std::shared_ptr<spdlog::logger>
//
// This header knows no logging library: any type works that has debug, info, warn and error, each of
// which takes a text as it stands. No other header of fourge includes this one.
#pragma once

#include <fourge/options.hpp>

#include <functional>
#include <memory>
#include <string_view>
#include <utility>

namespace fourge {

// The logger is kept alive, and called from any thread that prepares kernels: it must be thread-safe
// (spdlog's *_mt ones are). Its own level and sinks decide what becomes of a message. A null logger gives
// no callback: silence.
template <class Logger>
std::function<void(LogLevel, std::string_view)> log_to(std::shared_ptr<Logger> logger) {
  if (!logger) return {};
  return [logger = std::move(logger)](LogLevel level, std::string_view text) {
    switch (level) {
      case LogLevel::debug:
        logger->debug(text);
        return;
      case LogLevel::info:
        logger->info(text);
        return;
      case LogLevel::warn:
        logger->warn(text);
        return;
      case LogLevel::error:
        logger->error(text);
        return;
    }
  };
}

}  // namespace fourge
