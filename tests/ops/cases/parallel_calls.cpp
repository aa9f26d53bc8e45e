#include "tests/ops/cases/parallel_calls.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

namespace fourge::tests {
namespace {

class Tallies {
 public:
  explicit Tallies(std::span<const VariantCalls> variants) {
    for (const VariantCalls& variant : variants) {
      if (find(variant.cases.op) == nullptr) {
        list_.push_back({variant.cases.op, 0, 0, 0, {}, {}});
      }
      ++find(variant.cases.op)->variants;
    }
  }

  void add_call(std::string_view op, const std::string& difference, const Excused* excused) {
    const std::lock_guard lock(mutex_);
    CallTally& tally = *find(op);
    ++tally.calls;
    if (excused != nullptr) {
      tally.excused.codes += excused->codes;
      tally.excused.blocks += excused->blocks;
    }
    note(tally, difference);
  }
  void add_failure(std::string_view op, const std::string& what) {
    const std::lock_guard lock(mutex_);
    note(*find(op), what);
  }
  std::vector<CallTally> take() { return std::move(list_); }

 private:
  CallTally* find(std::string_view op) {
    const auto found = std::find_if(list_.begin(), list_.end(),
                                    [&](const CallTally& tally) { return tally.op == op; });
    return found == list_.end() ? nullptr : &*found;
  }
  static void note(CallTally& tally, const std::string& difference) {
    if (difference.empty()) {
      return;
    }
    ++tally.different;
    if (tally.differences.size() < kMostDifferences) {
      tally.differences.push_back(difference);
    }
  }

  std::mutex mutex_;
  std::vector<CallTally> list_;
};

std::string run_guarded(const CallRunner& run, const OpCall& call) {
  try {
    return run(call);
  } catch (const std::exception& error) {
    return call.spec.text() + " [" + call.label + "]: " + error.what();
  }
}

void run_variant(const VariantCalls& variant, const PrepareVariant& prepare, Tallies& tallies) {
  try {
    const CallRunner run = prepare(variant.spec);
    variant.cases.visit(variant.spec, variant.size, [&](const OpCall& call) {
      const std::string difference = run_guarded(run, call);
      tallies.add_call(variant.cases.op, difference, call.excused.get());
    });
  } catch (const std::exception& error) {
    tallies.add_failure(variant.cases.op, variant.spec.text() + ": " + error.what());
  }
}

}  // namespace

std::vector<CallTally> run_variants(
    std::span<const VariantCalls> variants, unsigned threads, const PrepareVariant& prepare,
    const std::function<void(const std::function<void()>&)>& around) {
  Tallies tallies(variants);
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    for (std::size_t i = next++; i < variants.size(); i = next++) {
      run_variant(variants[i], prepare, tallies);
    }
  };
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < std::max(threads, 1U); ++i) {
    workers.emplace_back([&] {
      try {
        around(work);
      } catch (...) {
        const std::lock_guard lock(mutex);
        failure = std::current_exception();
      }
    });
  }
  for (std::thread& worker : workers) {
    worker.join();
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
  return tallies.take();
}

std::string to_string(const CallTally& tally) {
  std::string text = std::string(tally.op) + ": " + std::to_string(tally.variants) + " variants, " +
                     std::to_string(tally.calls) +
                     " calls; excused in fast math: " + std::to_string(tally.excused.codes) +
                     " codes, " + std::to_string(tally.excused.blocks) + " blocks";
  for (const std::string& difference : tally.differences) {
    text += "\n  " + difference;
  }
  return text;
}

}  // namespace fourge::tests
