// Catch2's own part of a program that has a main function of its own, compiled once for all of them.
#pragma once

namespace fourge::tests {

// Runs the tests that the command line names; what a program of Catch2's would exit with.
int run_catch(int argc, char* argv[]);

}  // namespace fourge::tests
