// From spec to value, in memory. find() takes no lock and allocates nothing; get_or_make() lets one
// thread make a missing value while the others that want the same one wait for it. Values stay
// where they are until the table is destroyed.
#pragma once

#include <fourge/kernel_spec.hpp>

#include "runtime/stopping.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <stop_token>
#include <vector>

namespace fourge {

template <class Value>
class SpecTable {
 public:
  SpecTable() { grow(64); }

  const Value* find(const KernelSpec& spec) const noexcept {
    const Slots& slots = *slots_.load(std::memory_order_acquire);
    for (std::size_t i = spec.hash() & slots.mask;; i = (i + 1) & slots.mask) {
      const Node* node = slots.nodes[i].load(std::memory_order_acquire);
      if (node == nullptr) {
        return nullptr;
      }
      if (node->spec == spec) {
        return &node->value;
      }
    }
  }

  // make() runs without a lock and returns the Value. waited (if given) becomes true when another
  // thread's make() was waited for. If that one throws, the next waiter tries itself. A waiter whose
  // stop is requested throws Error(cancelled).
  template <class Make>
  const Value& get_or_make(const KernelSpec& spec, Make make, bool* waited = nullptr,
                           const std::stop_token& stop = {}) {
    if (const Value* value = find(spec)) {
      return *value;
    }
    std::unique_lock lock(mutex_);
    for (;;) {
      if (const Value* value = find(spec)) {
        return *value;
      }
      if (std::find(making_.begin(), making_.end(), spec) == making_.end()) {
        break;
      }
      if (waited != nullptr) {
        *waited = true;
      }
      if (!stop.stop_possible()) {
        made_.wait(lock);
        continue;
      }
      throw_if_stopped(stop, spec);
      made_.wait_for(lock, kStopLook);
    }
    making_.push_back(spec);
    const Finish finish{*this, lock, spec};
    lock.unlock();
    auto node = std::make_unique<Node>(Node{spec, make()});
    lock.lock();
    return insert(std::move(node));
  }

 private:
  struct Node {
    KernelSpec spec;
    Value value;
  };
  // Open addressing; never more than half full, so that every probe ends.
  struct Slots {
    explicit Slots(std::size_t size) : mask(size - 1), nodes(size) {}
    std::size_t mask;
    std::vector<std::atomic<const Node*>> nodes;
  };
  // Ends the making of a spec, also when make() throws.
  struct Finish {
    SpecTable& table;
    std::unique_lock<std::mutex>& lock;
    KernelSpec spec;
    ~Finish() {
      if (!lock.owns_lock()) {
        lock.lock();
      }
      auto& making = table.making_;
      making.erase(std::find(making.begin(), making.end(), spec));
      table.made_.notify_all();
    }
  };

  const Value& insert(std::unique_ptr<Node> node) {
    if ((nodes_.size() + 1) * 2 > all_slots_.back()->nodes.size()) {
      grow(all_slots_.back()->nodes.size() * 2);
    }
    nodes_.push_back(std::move(node));
    place(*all_slots_.back(), *nodes_.back());
    return nodes_.back()->value;
  }

  // Readers may still walk the old slots: those are kept until the table goes.
  void grow(std::size_t size) {
    all_slots_.push_back(std::make_unique<Slots>(size));
    for (const auto& node : nodes_) {
      place(*all_slots_.back(), *node);
    }
    slots_.store(all_slots_.back().get(), std::memory_order_release);
  }

  static void place(Slots& slots, const Node& node) {
    std::size_t i = node.spec.hash() & slots.mask;
    while (slots.nodes[i].load(std::memory_order_relaxed) != nullptr) {
      i = (i + 1) & slots.mask;
    }
    slots.nodes[i].store(&node, std::memory_order_release);
  }

  std::atomic<const Slots*> slots_{nullptr};
  std::mutex mutex_;
  std::condition_variable made_;
  std::vector<KernelSpec> making_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Slots>> all_slots_;
};

}  // namespace fourge
