#include <benchmark/benchmark.h>

#include "tests/bench/large_trees.hpp"

int main(int count, char** arguments) {
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  fourge::bench::release_trees();
  benchmark::Shutdown();
  return 0;
}
