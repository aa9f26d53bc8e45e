#include "runtime/host/shared_shadow.hpp"

#include "tests/support/catch.hpp"

namespace fourge::tests {

using host::SharedAccess;
using host::SharedFault;
using host::SharedShadow;

namespace {

constexpr std::uintptr_t kBase = 0x100000;

// 0 for an access in order, else 1 + its kind.
int result(SharedShadow& shadow, unsigned thread, SharedAccess kind, std::uintptr_t address = kBase,
           std::size_t bytes = 4) {
  SharedFault fault{};
  return shadow.access(thread, address, bytes, kind, fault) ? 0 : 1 + static_cast<int>(fault.kind);
}

constexpr int kUnwritten = 1 + static_cast<int>(SharedFault::Kind::unwritten);
constexpr int kReadAfterWrite = 1 + static_cast<int>(SharedFault::Kind::read_after_write);
constexpr int kWriteAfterWrite = 1 + static_cast<int>(SharedFault::Kind::write_after_write);
constexpr int kWriteAfterRead = 1 + static_cast<int>(SharedFault::Kind::write_after_read);

}  // namespace

TEST_CASE("bytes count one by one and only within their block", "[host]") {
  SharedShadow shadow;
  shadow.begin_block(64);
  CHECK(result(shadow, 0, SharedAccess::store, kBase + 254, 4) == 0);  // across two pages
  CHECK(result(shadow, 0, SharedAccess::load, kBase + 254, 4) == 0);
  CHECK(result(shadow, 0, SharedAccess::load, kBase + 253, 1) == kUnwritten);
  SharedFault fault{};
  CHECK_FALSE(shadow.access(0, kBase + 256, 4, SharedAccess::load, fault));
  CHECK(fault.address == kBase + 258);
  CHECK(shadow.written(kBase + 257));
  shadow.begin_block(64);
  CHECK_FALSE(shadow.written(kBase + 257));
  CHECK(result(shadow, 0, SharedAccess::load, kBase + 254, 4) == kUnwritten);
}

TEST_CASE("a barrier orders all threads, a warp operation those of its mask", "[host]") {
  SharedShadow shadow;
  shadow.begin_block(64);
  CHECK(result(shadow, 1, SharedAccess::store) == 0);
  CHECK(result(shadow, 1, SharedAccess::load) == 0);
  CHECK(result(shadow, 2, SharedAccess::load) == kReadAfterWrite);
  shadow.warp_sync(0, 0x6);  // lanes 1 and 2
  CHECK(result(shadow, 2, SharedAccess::load) == 0);
  CHECK(result(shadow, 3, SharedAccess::load) == kReadAfterWrite);
  shadow.warp_sync(0, 0xC);  // 2 and 3: lane 3 learns of lane 1 through lane 2
  CHECK(result(shadow, 3, SharedAccess::load) == 0);
  CHECK(result(shadow, 33, SharedAccess::load) == kReadAfterWrite);
  shadow.warp_sync(1, 0xFFFFFFFF);
  CHECK(result(shadow, 33, SharedAccess::load) == kReadAfterWrite);
  shadow.barrier();
  CHECK(result(shadow, 33, SharedAccess::load) == 0);
}

TEST_CASE("a write after the last operation is not covered by it", "[host]") {
  SharedShadow shadow;
  shadow.begin_block(32);
  shadow.warp_sync(0, 0x3);
  CHECK(result(shadow, 0, SharedAccess::store) == 0);
  CHECK(result(shadow, 1, SharedAccess::load) == kReadAfterWrite);
  CHECK(result(shadow, 1, SharedAccess::store) == kWriteAfterWrite);
}

TEST_CASE("a write must follow the reads of other threads", "[host]") {
  SharedShadow shadow;
  shadow.begin_block(128);
  CHECK(result(shadow, 0, SharedAccess::store) == 0);
  shadow.barrier();
  CHECK(result(shadow, 5, SharedAccess::load) == 0);
  CHECK(result(shadow, 40, SharedAccess::load) == 0);
  CHECK(result(shadow, 70, SharedAccess::load) == 0);
  CHECK(result(shadow, 70, SharedAccess::store) == kWriteAfterRead);
  CHECK(result(shadow, 100, SharedAccess::store) == kWriteAfterRead);
  shadow.barrier();
  CHECK(result(shadow, 100, SharedAccess::store) == 0);
}

TEST_CASE("atomics conflict with plain accesses only", "[host]") {
  SharedShadow shadow;
  shadow.begin_block(64);
  CHECK(result(shadow, 0, SharedAccess::atomic) == kUnwritten);
  CHECK(result(shadow, 0, SharedAccess::store) == 0);
  CHECK(result(shadow, 40, SharedAccess::atomic) == kReadAfterWrite);
  shadow.barrier();
  CHECK(result(shadow, 0, SharedAccess::atomic) == 0);
  CHECK(result(shadow, 40, SharedAccess::atomic) == 0);
  CHECK(result(shadow, 3, SharedAccess::load) == kReadAfterWrite);
  CHECK(result(shadow, 3, SharedAccess::store) == kWriteAfterWrite);
}

}  // namespace fourge::tests
