#include "cache/temporary_name.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <functional>
#include <random>
#include <thread>

#include "cache/key.hpp"

namespace fourge::cache {

namespace {

constexpr std::string_view kSuffix = ".tmp";
constexpr std::size_t kHostCharacters = 32;

// Letters and digits only: the name becomes part of a file name.
std::string host_name() {
  std::array<char, 256> buffer{};
  if (::gethostname(buffer.data(), buffer.size() - 1) != 0) return "host";
  std::string name;
  for (const char c : std::string_view(buffer.data())) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name += plain ? c : '_';
    if (name.size() == kHostCharacters) break;
  }
  return name.empty() ? "host" : name;
}

constexpr std::string_view kEntrySuffix = ".fourge";

// False also if the name does not say.
bool writer_is_dead(std::string_view name) {
  name.remove_prefix(name.find(kEntrySuffix) + kEntrySuffix.size() + 1);
  const std::string host = host_name() + '-';
  if (!name.starts_with(host)) return false;
  name.remove_prefix(host.size());
  pid_t writer = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), writer);
  const auto length = static_cast<std::size_t>(parsed.ptr - name.data());
  if (parsed.ec != std::errc() || writer <= 0 || !name.substr(length).starts_with('-'))
    return false;
  return ::kill(writer, 0) != 0 && errno == ESRCH;
}

}  // namespace

std::string make_temporary_name(const std::string& entry_name) {
  std::random_device device;
  const std::uint64_t random = (std::uint64_t{device()} << 32U) | device();
  const std::size_t thread = std::hash<std::thread::id>{}(std::this_thread::get_id());
  return fmt::format("{}.{}-{}-{:x}-{:016x}{}", entry_name, host_name(), ::getpid(), thread, random,
                     kSuffix);
}

bool is_temporary_name(std::string_view name) noexcept {
  const std::size_t end = name.find(kEntrySuffix);
  if (end == std::string_view::npos || !name.ends_with(kSuffix)) return false;
  const std::size_t entry_length = end + kEntrySuffix.size();
  return is_entry_file_name(name.substr(0, entry_length)) &&
         name.size() > entry_length + kSuffix.size() && name[entry_length] == '.';
}

bool is_abandoned_temporary(std::string_view name, std::chrono::system_clock::time_point modified,
                            std::chrono::system_clock::time_point now) {
  if (!is_temporary_name(name)) return false;
  const auto age = now - modified;
  if (age > kStaleTemporaryAge || age < -kStaleTemporaryAge) return true;
  return (age > kDeadWriterAge || age < -kDeadWriterAge) && writer_is_dead(name);
}

}  // namespace fourge::cache
