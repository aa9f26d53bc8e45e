// docs/containers.md: its commands as they stand there, then a process as a container has it.
#include <regex>
#include <string>

#include "tests/out_of_tree/page.hpp"
#include "tests/out_of_tree/script.hpp"
#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

const std::string kNothing = "FOURGE_NVRTC=/nonexistent TMPDIR=/nonexistent ";

// The instructions' commands, lines that go on joined, in a directory of the test's.
std::string commands_of(const std::string& dockerfile, const std::string& directory) {
  const std::string joined = std::regex_replace(dockerfile, std::regex("\\\\\n\\s*"), "");
  const std::regex run("(?:^|\n)RUN ([^\n]+)");
  std::string commands;
  for (std::sregex_iterator it(joined.begin(), joined.end(), run), end; it != end; ++it) {
    commands += (*it)[1].str() + '\n';
  }
  return std::regex_replace(commands, std::regex("/opt/kernels"), directory);
}

// The command under its name in PATH, nothing of the caller's but what finds NVRTC.
std::string container(const Scratch& scratch) {
  write_text(scratch.path() + "/bin/fourge",
             std::string("#!/bin/sh\nexec ") + quoted(FOURGE_COMMAND) + " \"$@\"\n");
  std::filesystem::permissions(scratch.path() + "/bin/fourge", std::filesystem::perms::owner_all);
  return "unset HOME FOURGE_CACHE_DIR XDG_CACHE_HOME XDG_RUNTIME_DIR FOURGE_CACHE_READ_ONLY\n"
         "export ASAN_OPTIONS=detect_leaks=0\nPATH=" +
         quoted(scratch.path() + "/bin") + ":$PATH\n";
}

Page page() { return read_page(read_text(FOURGE_SOURCE_DIR "/docs/containers.md")); }

}  // namespace

TEST_CASE("kernels of an image serve a container that has nothing else", "[containers]") {
  const Scratch scratch;
  const std::string setting = container(scratch);
  const std::string kernels = scratch.path() + "/kernels";
  const auto dockerfile = page().blocks.at("dockerfile");
  REQUIRE(dockerfile.size() == 1);
  const std::string commands = commands_of(dockerfile.front(), kernels);
  REQUIRE(commands.find("fourge prewarm") == 0);
  REQUIRE(commands.find("\nfourge explain") != std::string::npos);
  const auto built = run_script(scratch.path(), setting + commands);
  INFO(built.all);
  REQUIRE(built.ok);

  // No NVRTC, no home, no directory that can be written.
  const auto found = run_script(scratch.path(),
                                setting + kNothing + "FOURGE_CACHE_READ_ONLY=" + quoted(kernels) +
                                    " fourge build 'nvfp4_quantize[layout=128x4,tpc=2]@sm_100a'\n");
  INFO(found.all);
  REQUIRE(found.ok);
  CHECK(found.out.find("origin   disk") != std::string::npos);

  // What is not in the image: an error that names it, in the build of the image and in the container.
  CHECK_FALSE(run_script(scratch.path(), setting +
                                             "fourge explain nvfp4_quantize@sm_90 "
                                             "--cache-dir " +
                                             quoted(kernels) + "\n")
                  .ok);
  const auto missing =
      run_script(scratch.path(), setting + kNothing + "FOURGE_CACHE_READ_ONLY=" + quoted(kernels) +
                                     " fourge build row_amax@sm_90a\n");
  CHECK_FALSE(missing.ok);
  CHECK(missing.all.find("row_amax[in=bf16,tpr=128]@sm_90a is not in the cache (" + kernels) !=
        std::string::npos);
}

TEST_CASE("a signed bundle serves a container", "[containers]") {
  const Scratch scratch;
  const std::string setting = container(scratch);
  const auto commands = page().blocks.at("sh");
  REQUIRE(commands.size() == 1);
  const auto built = run_script(scratch.path(), setting + commands.front());
  INFO(built.all);
  REQUIRE(built.ok);
  const std::string build =
      kNothing + "FOURGE_CACHE_READ_ONLY=fleet.fourge FOURGE_BUNDLE_PUBLIC_KEY=" +
      quoted(scratch.path() + "/public.pem") + " fourge build row_amax@sm_90a\n";
  const auto found = run_script(scratch.path(), setting + "chmod 0666 fleet.fourge\n" + build);
  INFO(found.all);
  REQUIRE(found.ok);
  CHECK(found.out.find("origin   disk") != std::string::npos);
  CHECK_FALSE(run_script(scratch.path(), setting +
                                             "fourge cache keygen --private other.pem --public "
                                             "new.pem\nmv new.pem public.pem\n" +
                                             build)
                  .ok);
}

TEST_CASE("a cache directory that cannot be written costs one warning", "[containers]") {
  const Scratch scratch;
  // A file stands where the directory would be: nobody, root included, can write below it.
  write_text(scratch.path() + "/etc-like", "");
  const auto built = run_script(scratch.path(), container(scratch) + "FOURGE_CACHE_DIR=" +
                                                    quoted(scratch.path() + "/etc-like/cache") +
                                                    " fourge build row_amax@sm_90a --log warn\n");
  INFO(built.all);
  REQUIRE(built.ok);
  CHECK(built.out.find("origin   compiled") != std::string::npos);
  const std::string warning = "kernels are kept in memory only";
  const auto first = built.all.find(warning);
  REQUIRE(first != std::string::npos);
  CHECK(built.all.find(warning, first + 1) == std::string::npos);
}

}  // namespace fourge::tests
