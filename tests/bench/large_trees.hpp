#pragma once

namespace fourge::bench {

// Deletes the directories that the benchmarks of many_entries.cpp have made.
void release_trees();

}  // namespace fourge::bench
