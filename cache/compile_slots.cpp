#include "cache/compile_slots.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <locale>
#include <vector>

namespace fourge::cache {

std::size_t usable_processors() {
  std::size_t count = 1;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) {
    count = static_cast<std::size_t>(CPU_COUNT(&set));
  }
  // "QUOTA PERIOD" in microseconds, or "max PERIOD".
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  file.imbue(std::locale::classic());  // the program's may take blanks for separators of thousands
  std::uint64_t quota = 0;
  std::uint64_t period = 0;
  if (file >> quota >> period && period > 0) {
    count = std::min<std::size_t>(count, (quota + period - 1) / period);
  }
  return std::max<std::size_t>(count, 1);
}

std::uint64_t usable_memory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page_bytes = ::sysconf(_SC_PAGESIZE);
  std::uint64_t bytes = pages > 0 && page_bytes > 0 ? static_cast<std::uint64_t>(pages) *
                                                          static_cast<std::uint64_t>(page_bytes)
                                                    : kBytesPerCompile;
  // A number of bytes, or "max".
  std::ifstream file("/sys/fs/cgroup/memory.max");
  file.imbue(std::locale::classic());
  std::uint64_t limit = 0;
  if (file >> limit) bytes = std::min(bytes, limit);
  return bytes;
}

std::size_t default_compile_slots() {
  const std::uint64_t by_memory = usable_memory() / kBytesPerCompile;
  return std::max<std::size_t>(1, std::min<std::uint64_t>(usable_processors(), by_memory));
}

SlotResult acquire_compile_slot(const std::string& directory, std::size_t count,
                                std::chrono::steady_clock::time_point deadline,
                                const std::function<bool()>& should_stop,
                                const LockTiming& timing) {
  std::vector<LockFileWait> waits;
  waits.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    waits.emplace_back(directory, fmt::format("compile-slot-{}.lock", i), timing);
  }
  SlotResult result;
  LockFileWait* found = nullptr;
  const auto try_each = [&] {
    for (LockFileWait& wait : waits) {
      const LockFileWait::Step step = wait.step();
      if (step != LockFileWait::Step::busy) {
        found = &wait;
        return step;
      }
    }
    return LockFileWait::Step::busy;
  };
  result.outcome = poll_lock(try_each, deadline, should_stop);
  if (result.outcome == LockOutcome::acquired) result.slot = found->take();
  if (result.outcome == LockOutcome::unavailable) result.detail = found->detail();
  return result;
}

}  // namespace fourge::cache
