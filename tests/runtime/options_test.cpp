#include <fourge/options.hpp>

#include "tests/support/catch.hpp"

#include <cstdlib>
#include <optional>
#include <string>

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
