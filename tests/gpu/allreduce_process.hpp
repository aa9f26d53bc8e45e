// Ranks that are processes: this program, started again.
#pragma once

namespace fourge::tests {

// Arguments: the scenario ("exact", "killed"), rank, ranks, the rendezvous' path. Prints what went wrong.
// Returns the exit code.
int rank_process(int argc, char* argv[]);

}  // namespace fourge::tests
