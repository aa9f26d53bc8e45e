#include "runtime/spec_table.hpp"

#include <fourge/nvfp4_quantize.hpp>

#include "tests/support/catch.hpp"

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

using fourge::KernelSpec;
using fourge::SpecTable;
using fourge::Target;

namespace {

std::vector<KernelSpec> all_specs() {
  std::vector<KernelSpec> specs;
  for (const Target& target : Target::all()) {
    for (const auto& spec : fourge::legal_variants(fourge::nvfp4_quantize_op(), target)) {
      specs.push_back(spec);
    }
  }
  return specs;
}

}  // namespace

TEST_CASE("every spec is found again, also after the table has grown", "[spec_table]") {
  SpecTable<std::size_t> table;
  const auto specs = all_specs();
  REQUIRE(specs.size() > 300);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    CHECK(table.find(specs[i]) == nullptr);
    CHECK(table.get_or_make(specs[i], [i] { return i; }) == i);
  }
  for (std::size_t i = 0; i < specs.size(); ++i) {
    REQUIRE(table.find(specs[i]) != nullptr);
    CHECK(*table.find(specs[i]) == i);
  }
}

TEST_CASE("many threads, one making per spec", "[spec_table]") {
  SpecTable<int> table;
  const auto specs = all_specs();
  std::atomic<int> made{0};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (std::size_t i = 0; i < specs.size(); ++i) {
        const int value = table.get_or_make(specs[i], [&] {
          ++made;
          return static_cast<int>(i);
        });
        wrong += value == static_cast<int>(i) ? 0 : 1;
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  CHECK(made == static_cast<int>(specs.size()));
  CHECK(wrong == 0);
}

TEST_CASE("a failed making leaves nothing behind and the next caller tries again", "[spec_table]") {
  SpecTable<int> table;
  const KernelSpec spec = KernelSpec::parse("nvfp4_quantize@sm_90a");
  CHECK_THROWS_AS(table.get_or_make(spec, []() -> int { throw std::runtime_error("no"); }),
                  std::runtime_error);
  CHECK(table.find(spec) == nullptr);
  CHECK(table.get_or_make(spec, [] { return 3; }) == 3);
  CHECK(table.get_or_make(spec, [] { return 4; }) == 3);
}

TEST_CASE("a waiter goes on when the maker fails", "[spec_table]") {
  SpecTable<int> table;
  const KernelSpec spec = KernelSpec::parse("nvfp4_quantize@sm_90a");
  std::atomic<bool> entered{false};
  std::atomic<bool> go{false};
  std::thread failing([&] {
    CHECK_THROWS(table.get_or_make(spec, [&]() -> int {
      entered = true;
      while (!go) {
        std::this_thread::yield();
      }
      throw std::runtime_error("no");
    }));
  });
  while (!entered) {
    std::this_thread::yield();
  }
  std::thread waiting([&] { CHECK(table.get_or_make(spec, [] { return 5; }) == 5); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  go = true;
  failing.join();
  waiting.join();
  CHECK(*table.find(spec) == 5);
}
