// Names of files that are being written beside the entry that they will become.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace fourge::cache {

// ENTRY.HOST-PID-THREAD-RANDOM.tmp: unique among all threads, processes and hosts that share the
// directory, and never the name of an entry.
std::string make_temporary_name(const std::string& entry_name);

bool is_temporary_name(std::string_view name) noexcept;

// A temporary file of this age has no writer any more, nor has one that is of this host, of the
// second age and of a process that is gone. (The second age is for writers in containers that have
// the same host name and processes of their own. Should one lose its file, it writes it again.)
inline constexpr std::chrono::minutes kStaleTemporaryAge{10};
inline constexpr std::chrono::minutes kDeadWriterAge{1};

// Whether nobody will rename the temporary file of this name, last written at `modified`. A time
// far in the future is as dead as an old one: the clock was set back.
bool is_abandoned_temporary(std::string_view name, std::chrono::system_clock::time_point modified,
                            std::chrono::system_clock::time_point now);

}  // namespace fourge::cache
