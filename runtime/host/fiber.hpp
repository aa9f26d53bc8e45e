// A stack that control can be moved to and from. Made with Boost.Context where it was found at
// configure time, else with ucontext. Under AddressSanitizer and ThreadSanitizer every switch is
// announced to them.
#pragma once

#include <cstddef>

namespace fourge::host {

// Not thread-safe. Between two enter() calls a fiber may move to another OS thread, within one it
// may not. The stack has a guard page below it.
class Fiber {
 public:
  using Body = void (*)(void* argument, Fiber& self);

  // Throws Error(io) if no stack can be mapped. body runs at the first enter().
  Fiber(Body body, void* argument);
  // The fiber must have finished or never have been entered: whatever lives on its stack is not
  // destroyed.
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Runs the fiber until it leaves or its body returns. May be called on another fiber, which this one is
  // then within.
  void enter();
  // Called on the fiber, or on one within it: back to the caller of enter(). The next one goes on here.
  void leave();
  // Body has returned; the fiber must not be entered again.
  bool finished() const noexcept { return finished_; }

 private:
  struct Context;
  void run();

  Body body_;
  void* argument_;
  void* mapping_ = nullptr;
  std::size_t mapping_bytes_ = 0;
  Context* context_;
  Fiber* left_on_ = nullptr;  // the fiber within this one that called leave()
  bool finished_ = false;
};

}  // namespace fourge::host
