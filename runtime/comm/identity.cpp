#include "runtime/comm/identity.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <sstream>

namespace fourge::comm {
namespace {

// Field 22 of /proc/self/stat, counted behind the name, which may have blanks and brackets.
std::uint64_t start_time() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) {
    return 0;
  }
  std::istringstream fields(line.substr(name_end + 1));
  std::string field;
  for (int number = 3; number <= 22; ++number) {
    fields >> field;
  }
  std::uint64_t ticks = 0;
  std::istringstream(field) >> ticks;
  return ticks;
}

}  // namespace

std::string host_identity() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string text;
  if (std::getline(file, text) && !text.empty()) {
    return text;
  }
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

ProcessIdentity process_identity() {
  ProcessIdentity identity;
  identity.number = static_cast<std::uint64_t>(::getpid());
  struct stat status {};
  if (::stat("/proc/self/ns/pid", &status) == 0) {
    identity.name_space = status.st_ino;
  }
  identity.started = start_time();
  return identity;
}

}  // namespace fourge::comm
