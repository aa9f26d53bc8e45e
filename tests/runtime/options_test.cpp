#include <fourge/error.hpp>
#include <fourge/options.hpp>

#include "tests/support/catch.hpp"

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

namespace {

// Sets a variable for one test and puts back what was there.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) {
      old_ = old;
    }
    if (value == nullptr) {
      unsetenv(name);
    } else {
      setenv(name, value, 1);
    }
  }
  ~Variable() {
    if (old_) {
      setenv(name_, old_->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

}  // namespace

TEST_CASE("the cache directory comes from the first variable that is set", "[options]") {
  const Variable home("HOME", "/h");
  {
    const Variable own("FOURGE_CACHE_DIR", "/own");
    const Variable xdg("XDG_CACHE_HOME", "/xdg");
    CHECK(fourge::Options::from_environment().cache_directory == "/own");
  }
  const Variable own("FOURGE_CACHE_DIR", nullptr);
  {
    const Variable xdg("XDG_CACHE_HOME", "/xdg");
    CHECK(fourge::Options::from_environment().cache_directory == "/xdg/fourge");
  }
  const Variable xdg("XDG_CACHE_HOME", nullptr);
  CHECK(fourge::Options::from_environment().cache_directory == "/h/.cache/fourge");
  const Variable no_home("HOME", nullptr);
  CHECK(fourge::Options::from_environment().cache_directory.empty());
}

TEST_CASE("the other variables", "[options]") {
  const Variable nvrtc("FOURGE_NVRTC", "/lib/nvrtc");
  const Variable home("CUDA_HOME", nullptr);
  const Variable path("CUDA_PATH", "/cuda");
  const Variable run("XDG_RUNTIME_DIR", "/run/user/7");
  const Variable compiler("FOURGE_HOST_CXX", "clang++");
  const Variable group("FOURGE_CACHE_GROUP", "staff");
  const auto options = fourge::Options::from_environment();
  CHECK(options.nvrtc_library == "/lib/nvrtc");
  CHECK(options.cuda_home == "/cuda");
  CHECK(options.runtime_directory == "/run/user/7");
  CHECK(options.host_compiler == "clang++");
  CHECK(options.trusted_group == "staff");
}

TEST_CASE("read-only caches, the key for bundles and the byte limit", "[options]") {
  const Variable none("FOURGE_CACHE_READ_ONLY", nullptr);
  const Variable no_key("FOURGE_BUNDLE_PUBLIC_KEY", nullptr);
  const Variable no_limit("FOURGE_CACHE_LIMIT", nullptr);
  CHECK(fourge::Options::from_environment().cache_read_only.empty());
  CHECK(fourge::Options::from_environment().bundle_public_key.empty());
  CHECK(fourge::Options::from_environment().cache_byte_limit == 1ULL << 30U);
  CHECK(fourge::Options::from_environment().cache_promote);
  const Variable list("FOURGE_CACHE_READ_ONLY", ":/opt/cache:/mnt/fleet.fourge::/b c:");
  const Variable key("FOURGE_BUNDLE_PUBLIC_KEY", "/etc/fourge.pem");
  const Variable limit("FOURGE_CACHE_LIMIT", "3M");
  const auto options = fourge::Options::from_environment();
  CHECK(options.cache_read_only ==
        std::vector<std::string>{"/opt/cache", "/mnt/fleet.fourge", "/b c"});
  CHECK(options.bundle_public_key == "/etc/fourge.pem");
  CHECK(options.cache_byte_limit == 3U << 20U);
}

TEST_CASE("a byte limit that is none is refused by name", "[options]") {
  {
    const Variable zero("FOURGE_CACHE_LIMIT", "0");
    CHECK(fourge::Options::from_environment().cache_byte_limit == 0);
    const Variable most("FOURGE_CACHE_LIMIT", "18446744073709551615");
    CHECK(fourge::Options::from_environment().cache_byte_limit == UINT64_MAX);
  }
  for (const char* text : {"x", "1X", "-1", "1 G", "1GB", "99999999999T", "18446744073709551616"}) {
    const Variable limit("FOURGE_CACHE_LIMIT", text);
    try {
      fourge::Options::from_environment();
      FAIL("taken: " << text);
    } catch (const fourge::Error& error) {
      CHECK(error.kind() == fourge::ErrorKind::invalid_argument);
      CHECK(std::string(error.what()).find("FOURGE_CACHE_LIMIT") != std::string::npos);
    }
  }
}

TEST_CASE("slots and the memory of failures are numbers or an error", "[options]") {
  using fourge::Options;
  {
    const Variable slots("FOURGE_COMPILE_SLOTS", "3");
    const Variable memory("FOURGE_FAILURE_MEMORY", "0");
    CHECK(Options::from_environment().compile_slots == 3);
    CHECK(Options::from_environment().failure_memory == std::chrono::seconds(0));
  }
  const Variable slots("FOURGE_COMPILE_SLOTS", nullptr);
  const Variable memory("FOURGE_FAILURE_MEMORY", nullptr);
  CHECK(Options::from_environment().compile_slots == 0);
  CHECK(Options::from_environment().failure_memory == std::chrono::minutes(10));
  for (const char* bad : {"many", "-1", "3s", "99999999999999999999"}) {
    const Variable wrong("FOURGE_FAILURE_MEMORY", bad);
    CHECK_THROWS_AS(Options::from_environment(), fourge::Error);
  }
  const Variable too_many("FOURGE_COMPILE_SLOTS", "1025");
  CHECK_THROWS_AS(Options::from_environment(), fourge::Error);
}
