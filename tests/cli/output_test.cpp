// Where --output puts a file, and what is refused.
#include <filesystem>
#include <string>
#include <vector>

#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

namespace fs = std::filesystem;

CommandResult write_codes(Sandbox& sandbox, const std::string& path) {
  return sandbox.run(
      {"run", "nvfp4_quantize", "--shape", "4x32", "--device", "host", "--output", path});
}

}  // namespace

TEST_CASE("cli: an output that is a link is written where it leads, and keeps its permissions") {
  Sandbox sandbox;
  fs::create_directories(sandbox.path("data"));
  const std::string target = sandbox.path("data/target.npy");
  const std::string link = sandbox.path("link.npy");
  write_text(target, "old");
  fs::permissions(target, fs::perms(0640));
  fs::create_symlink("data/target.npy", link);
  REQUIRE(write_codes(sandbox, link).exit_code == 0);
  CHECK(fs::is_symlink(link));
  CHECK(read_text(target).substr(1, 5) == "NUMPY");
  CHECK(fs::status(target).permissions() == fs::perms(0640));

  // One that leads to nothing yet, by way of another.
  const std::string second = sandbox.path("second.npy");
  fs::create_symlink(sandbox.path("data/new.npy"), sandbox.path("data/first.npy"));
  fs::create_symlink("data/first.npy", second);
  REQUIRE(write_codes(sandbox, second).exit_code == 0);
  CHECK(fs::is_symlink(second));
  CHECK(fs::is_symlink(sandbox.path("data/first.npy")));
  CHECK(read_text(sandbox.path("data/new.npy")).substr(1, 5) == "NUMPY");
  CHECK(names_in(sandbox.path("data")) ==
        std::vector<std::string>{"first.npy", "new.npy", "target.npy"});
}

TEST_CASE("cli: an output is refused before any work where no file can be put") {
  Sandbox sandbox;
  const std::string loop = sandbox.path("loop");
  fs::create_symlink("loop", loop);
  const std::string descriptor = sandbox.path("descriptor");  // as /dev/stdout is one
  fs::create_symlink("/proc/self/fd/1", descriptor);
  fs::create_directories(sandbox.path("directory"));
  struct Case {
    std::string path;
    const char* message;
  };
  const Case cases[] = {{loop, "symbolic links"},
                        {descriptor, "descriptor"},
                        {sandbox.path("directory"), "not a regular file"},
                        {sandbox.path("none/file"), "No such file"},
                        {"/dev/null", "not a regular file"},
                        {"", "empty"}};
  for (const Case& one : cases) {
    const CommandResult result = write_codes(sandbox, one.path);
    INFO(one.path << ": " << result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.says(one.message));
    CHECK(result.out.empty());
  }
  CHECK(fs::is_symlink(loop));
  CHECK(fs::is_symlink(descriptor));
}

}  // namespace fourge::tests
