// A Runtime on a real file system that is full, and that becomes read-only: the kernel comes out, and
// one warning. Needs a mount of its own (tests/cache/small_disk_test.cpp tells where there is none).
#include <fourge/runtime.hpp>

#include "tests/cache/child_process.hpp"
#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <filesystem>

using fourge::KernelSpec;
using fourge::LogLevel;
using fourge::Origin;
using fourge::Runtime;
using fourge::tests::ChildProcess;
using fourge::tests::LogLines;
using fourge::tests::Scratch;

namespace {

constexpr int kNoMount = 77;

bool mount_small(const std::string& path, const char* options) {
  std::filesystem::create_directory(path);
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
    return false;
  }
  return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("tmpfs", path.c_str(), "tmpfs", 0, options) == 0;
}

// Two kernels, neither of which can be kept: 0, or what went wrong.
int build_without_room(const Scratch& scratch, const char* reason) {
  LogLines log;
  auto options = scratch.options();
  options.log = log.sink();
  Runtime runtime(options);
  for (const char* const text : {"global_scale@sm_90a", "mxfp8_dequantize@sm_90a"}) {
    const auto artifact = runtime.build(KernelSpec::parse(text));
    if (artifact->origin != Origin::compiled || artifact->cubin.empty()) {
      return 1;
    }
    if (runtime.build(KernelSpec::parse(text))->cubin != artifact->cubin) {
      return 2;
    }
  }
  if (runtime.stats().publish_failures != 2 || runtime.stats().compiles != 2) {
    return 3;
  }
  if (log.count(LogLevel::warn) != 1) {
    return 4;
  }
  return log.all().find(reason) == std::string::npos ? 5 : 0;
}

void check_child(int status) {
  if (status == kNoMount) {
    WARN("no mounts are permitted here");
    return;
  }
  CHECK(status == 0);
}

}  // namespace

TEST_CASE("a full disk: kernels are kept in memory, with one warning", "[faults]") {
  const Scratch scratch;
  ChildProcess child([&] {
    if (!mount_small(scratch.cache(), "size=4k,mode=0700")) {
      return kNoMount;
    }
    return build_without_room(scratch, "No space left");
  });
  check_child(child.wait());
}

TEST_CASE("a read-only disk: what is there is used, the rest kept in memory", "[faults]") {
  const Scratch scratch;
  ChildProcess child([&] {
    if (!mount_small(scratch.cache(), "size=4m,mode=0700")) {
      return kNoMount;
    }
    const auto kept = KernelSpec::parse("mxfp4_dequantize@sm_90a");
    if (Runtime(scratch.options()).build(kept)->origin != Origin::compiled) {
      return 10;
    }
    if (mount(nullptr, scratch.cache().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
      return kNoMount;
    }
    if (Runtime(scratch.options()).build(kept)->origin != Origin::disk) {
      return 11;
    }
    return build_without_room(scratch, "Read-only");
  });
  check_child(child.wait());
}
