#include "runtime/host/fiber.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fourge/error.hpp>
#include <memory>

#if defined(FOURGE_HOST_BOOST_CONTEXT)
#include <boost/context/detail/fcontext.hpp>
#else
#include <ucontext.h>
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FOURGE_HOST_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define FOURGE_HOST_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define FOURGE_HOST_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define FOURGE_HOST_TSAN 1
#endif

#if defined(FOURGE_HOST_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(FOURGE_HOST_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace fourge::host {

namespace {

// ThreadSanitizer keeps a stack of calls for each fiber, and a function that switches enters on one and
// would return on the other. So what switches must be part of the function that jumps.
#define FOURGE_HOST_INLINE [[gnu::always_inline]] inline

// Kernels use little; what a failing hook needs to format its message and unwind fits well.
// Untouched pages cost nothing.
constexpr std::size_t kStackBytes = 256 * 1024;

// On whose stack this OS thread is.
thread_local Fiber* running_fiber = nullptr;

}  // namespace

struct Fiber::Context {
#if defined(FOURGE_HOST_BOOST_CONTEXT)
  boost::context::detail::fcontext_t fiber = nullptr;
  boost::context::detail::fcontext_t caller = nullptr;
#else
  ucontext_t fiber{};
  ucontext_t caller{};
#endif
  void* stack = nullptr;

#if defined(FOURGE_HOST_ASAN)
  void* caller_fake_stack = nullptr;
  void* fiber_fake_stack = nullptr;
  const void* caller_stack = nullptr;
  std::size_t caller_stack_bytes = 0;
#endif
#if defined(FOURGE_HOST_TSAN)
  void* tsan_caller = nullptr;
  void* tsan_fiber = nullptr;
#endif

  // target: this fiber's, or that of the one within it that left.
  FOURGE_HOST_INLINE void before_enter([[maybe_unused]] const Context& target) {
#if defined(FOURGE_HOST_ASAN)
    __sanitizer_start_switch_fiber(&caller_fake_stack, target.stack, kStackBytes);
#endif
#if defined(FOURGE_HOST_TSAN)
    tsan_caller = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(target.tsan_fiber, 0);
#endif
  }
  FOURGE_HOST_INLINE void after_enter() {
#if defined(FOURGE_HOST_ASAN)
    __sanitizer_finish_switch_fiber(caller_fake_stack, nullptr, nullptr);
#endif
  }
  FOURGE_HOST_INLINE void before_leave([[maybe_unused]] bool for_ever) {
#if defined(FOURGE_HOST_ASAN)
    __sanitizer_start_switch_fiber(for_ever ? nullptr : &fiber_fake_stack, caller_stack,
                                   caller_stack_bytes);
#endif
#if defined(FOURGE_HOST_TSAN)
    __tsan_switch_to_fiber(tsan_caller, 0);
#endif
  }
  FOURGE_HOST_INLINE void after_leave() {
#if defined(FOURGE_HOST_ASAN)
    __sanitizer_finish_switch_fiber(fiber_fake_stack, &caller_stack, &caller_stack_bytes);
#endif
  }

#if defined(FOURGE_HOST_BOOST_CONTEXT)
  static void start(boost::context::detail::transfer_t from) {
    auto* self = static_cast<Fiber*>(from.data);
    self->context_->caller = from.fctx;
    self->run();
  }
  void prepare(Fiber&) {
    fiber = boost::context::detail::make_fcontext(static_cast<char*>(stack) + kStackBytes,
                                                  kStackBytes, &Context::start);
  }
  FOURGE_HOST_INLINE void jump_in(Fiber& self) {
    fiber = boost::context::detail::jump_fcontext(fiber, &self).fctx;
  }
  FOURGE_HOST_INLINE void jump_out() {
    caller = boost::context::detail::jump_fcontext(caller, nullptr).fctx;
  }
#else
  // makecontext passes ints, so the pointer travels in two halves.
  static void start(unsigned high, unsigned low) {
    const auto address = (static_cast<std::uint64_t>(high) << 32) | low;
    reinterpret_cast<Fiber*>(static_cast<std::uintptr_t>(address))->run();
  }
  void prepare(Fiber& self) {
    getcontext(&fiber);
    fiber.uc_stack.ss_sp = stack;
    fiber.uc_stack.ss_size = kStackBytes;
    fiber.uc_link = nullptr;
    const auto address = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&self));
    makecontext(&fiber, reinterpret_cast<void (*)()>(&Context::start), 2,
                static_cast<unsigned>(address >> 32), static_cast<unsigned>(address));
  }
  FOURGE_HOST_INLINE void jump_in(Fiber&) { swapcontext(&caller, &fiber); }
  FOURGE_HOST_INLINE void jump_out() { swapcontext(&fiber, &caller); }
#endif
};

Fiber::Fiber(Body body, void* argument) : body_(body), argument_(argument) {
  auto context = std::make_unique<Context>();
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  mapping_bytes_ = kStackBytes + page;
  void* const mapping = mmap(nullptr, mapping_bytes_, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  // The guard page is a mapping of its own, of which the kernel allows so many.
  const bool guarded = mapping != MAP_FAILED && mprotect(mapping, page, PROT_NONE) == 0;
  if (!guarded) {
    if (mapping != MAP_FAILED) munmap(mapping, mapping_bytes_);
    throw Error(ErrorKind::io,
                "host execution: no memory for a thread's stack (use fewer host threads)");
  }
  mapping_ = mapping;
  context->stack = static_cast<char*>(mapping) + page;
#if defined(FOURGE_HOST_TSAN)
  context->tsan_fiber = __tsan_create_fiber(0);
#endif
  context_ = context.release();
  context_->prepare(*this);
}

Fiber::~Fiber() {
#if defined(FOURGE_HOST_ASAN)
  __asan_unpoison_memory_region(context_->stack, kStackBytes);
#endif
#if defined(FOURGE_HOST_TSAN)
  __tsan_destroy_fiber(context_->tsan_fiber);
#endif
  munmap(mapping_, mapping_bytes_);
  delete context_;
}

void Fiber::enter() {
  Fiber* const caller = running_fiber;
  running_fiber = left_on_ == nullptr ? this : left_on_;
  context_->before_enter(*running_fiber->context_);
  context_->jump_in(*this);
  context_->after_enter();
  left_on_ = finished_ ? nullptr : running_fiber;
  running_fiber = caller;
}

void Fiber::leave() {
  context_->before_leave(false);
  context_->jump_out();
  context_->after_leave();
}

void Fiber::run() {
  context_->after_leave();
  body_(argument_, *this);
  finished_ = true;
  context_->before_leave(true);
  context_->jump_out();
}

}  // namespace fourge::host
