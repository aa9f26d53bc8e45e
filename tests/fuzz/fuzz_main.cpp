// Drives a fuzz target without libFuzzer: every seed, then mutations of the seeds from a fixed seed of
// the random numbers, so that a run is the same everywhere. Usage: PROGRAM SEEDS MUTATIONS
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_target.hpp"

namespace {

using Input = std::vector<std::uint8_t>;

constexpr std::size_t kMaximumInput = 1U << 16U;

std::vector<Input> read_seeds(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Input> seeds;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    seeds.emplace_back(text.begin(), text.end());
  }
  return seeds;
}

class Mutator {
 public:
  explicit Mutator(const std::vector<Input>& seeds) : seeds_(seeds) {}

  Input next() {
    Input input = seeds_[below(seeds_.size())];
    for (std::size_t steps = 1 + below(4); steps > 0; --steps) mutate(input);
    input.resize(std::min(input.size(), kMaximumInput));
    return input;
  }

 private:
  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }
  std::ptrdiff_t offset_in(const Input& input) {
    return static_cast<std::ptrdiff_t>(below(input.size() + 1));
  }

  void mutate(Input& input) {
    switch (below(7)) {
      case 0:  // a bit
        if (!input.empty()) input[below(input.size())] ^= static_cast<std::uint8_t>(1U << below(8));
        return;
      case 1:  // a byte
        if (!input.empty()) input[below(input.size())] = static_cast<std::uint8_t>(below(256));
        return;
      case 2:  // a length, an offset
        overwrite_integer(input);
        return;
      case 3:
        input.resize(below(input.size() + 1));
        return;
      case 4:
        input.insert(input.begin() + offset_in(input), below(16),
                     static_cast<std::uint8_t>(below(256)));
        return;
      case 5: {
        const auto begin = offset_in(input);
        const auto left = input.size() - static_cast<std::size_t>(begin);
        input.erase(input.begin() + begin,
                    input.begin() + begin + static_cast<std::ptrdiff_t>(below(left + 1)));
        return;
      }
      default: {  // the end of another seed
        const Input& other = seeds_[below(seeds_.size())];
        input.resize(below(input.size() + 1));
        input.insert(input.end(), other.begin() + offset_in(other), other.end());
      }
    }
  }

  void overwrite_integer(Input& input) {
    constexpr std::uint64_t kInteresting[] = {0,          1,          0x7f,       0xff,
                                              0x100,      0xffff,     0x7fffffff, 0xffffffff,
                                              0x80000000, ~0ULL >> 1, ~0ULL,      ~0ULL - 63};
    const std::size_t width = std::size_t{1} << below(4);
    if (input.size() < width) return;
    const std::uint64_t value = kInteresting[below(std::size(kInteresting))];
    std::memcpy(input.data() + below(input.size() - width + 1), &value, width);
  }

  const std::vector<Input>& seeds_;
  std::mt19937_64 random_{20260904};
};

int run(const char* directory, unsigned long mutations) {
  const std::vector<Input> seeds = read_seeds(directory);
  if (seeds.empty()) {
    std::fprintf(stderr, "fuzz: there are no seeds in %s\n", directory);
    return EXIT_FAILURE;
  }
  for (const Input& seed : seeds) LLVMFuzzerTestOneInput(seed.data(), seed.size());
  Mutator mutator(seeds);
  for (unsigned long i = 0; i < mutations; ++i) {
    const Input input = mutator.next();
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%zu seeds and %lu mutations\n", seeds.size(), mutations);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s SEEDS MUTATIONS\n", argv[0]);
    return EXIT_FAILURE;
  }
  try {
    return run(argv[1], std::strtoul(argv[2], nullptr, 10));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fuzz: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
