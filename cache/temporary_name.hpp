// Names of files that are being written beside the entry that they will become.
#pragma once

#include <string>
#include <string_view>

namespace fourge::cache {

// ENTRY.HOST-PID-THREAD-RANDOM.tmp: unique among all threads, processes and hosts that share the
// directory, and never the name of an entry.
std::string make_temporary_name(const std::string& entry_name);

bool is_temporary_name(std::string_view name) noexcept;

}  // namespace fourge::cache
