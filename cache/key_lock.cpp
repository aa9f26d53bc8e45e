#include "cache/key_lock.hpp"

#include <utility>

namespace fourge::cache {

std::optional<KeyLock> KeyLock::try_acquire(const std::string& directory, const CacheKey& key) {
  return acquire(directory, key, std::chrono::steady_clock::time_point::min(), {}).lock;
}

LockResult KeyLock::acquire(const std::string& directory, const CacheKey& key,
                            std::chrono::steady_clock::time_point deadline,
                            const std::function<bool()>& should_stop, const LockTiming& timing) {
  LockFileWait wait(directory, key.full.hex() + ".lock", timing);
  LockResult result;
  result.outcome = poll_lock([&] { return wait.step(); }, deadline, should_stop);
  result.detail = wait.detail();
  result.replaced = wait.replaced();
  result.abandoned = wait.abandoned();
  if (result.outcome == LockOutcome::acquired) result.lock = KeyLock(wait.take());
  return result;
}

}  // namespace fourge::cache
