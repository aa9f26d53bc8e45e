#include "jit/nvrtc.hpp"

#include <fourge/error.hpp>

#include "jit/build_id.hpp"
#include "tests/jit/jit_support.hpp"
#include "tests/support/catch.hpp"

#include <unistd.h>
#include <filesystem>
#include <fstream>

using fourge::KernelSpec;
using fourge::jit::locate_nvrtc;
using fourge::jit::Nvrtc;
using fourge::tests::nvrtc;
using fourge::tests::nvrtc_search;

namespace {

std::string scratch_directory(const std::string& name) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("fourge-jit-test-" + std::to_string(getpid()) + "-" + name);
  std::filesystem::create_directories(path);
  return path.string();
}

}  // namespace

TEST_CASE("NVRTC is located without being loaded, with a content identity", "[nvrtc]") {
  const auto location = locate_nvrtc(nvrtc_search());
  REQUIRE(location.found());
  CHECK(location.build_identity.find("nvrtc:") == 0);
  CHECK(location.build_identity.size() > 20);
  CHECK_FALSE(location.searched.empty());
  // The same file by another path has the same identity.
  const std::string directory = scratch_directory("link");
  const std::string link = directory + "/libnvrtc.so";
  std::filesystem::create_symlink(location.path, link);
  CHECK(locate_nvrtc({link, ""}).build_identity == location.build_identity);
  CHECK(locate_nvrtc({directory, ""}).path == link);
  std::filesystem::remove_all(directory);
}

TEST_CASE("the loader's files include others beside them, not in the working directory",
          "[nvrtc]") {
  const std::string directory = scratch_directory("loader");
  const std::string etc = directory + "/etc";
  const std::string elsewhere = directory + "/elsewhere";
  for (const std::string& place : {etc, elsewhere}) {
    std::filesystem::create_directories(place + "/ld.so.conf.d");
    std::ofstream(place + "/ld.so.conf.d/some.conf") << "# one\n" << place << "/some\n";
    std::ofstream(place + "/ld.so.conf.d/some.text") << place << "/other\n";
  }
  std::ofstream(etc + "/ld.so.conf") << "/first  # with a remark\ninclude\tld.so.conf.d/*.conf\n"
                                     << "relative/directory\nincluded\n/last\n";
  const auto here = std::filesystem::current_path();
  std::filesystem::current_path(elsewhere);
  const auto found = fourge::jit::loader_config_directories(etc + "/ld.so.conf");
  std::filesystem::current_path(here);
  CHECK(found == std::vector<std::string>{"/first", etc + "/some", "/last"});
  CHECK(fourge::jit::loader_config_directories(directory + "/none").empty());
  std::filesystem::remove_all(directory);
}

TEST_CASE("NVRTC takes the builtins beside it, which its identity names", "[nvrtc]") {
  const auto location = locate_nvrtc(nvrtc_search());
  const std::string builtins =
      fourge::jit::builtins_beside(location.path, nvrtc().major(), nvrtc().minor());
  REQUIRE_FALSE(builtins.empty());
  CHECK(location.build_identity.find(fourge::jit::read_build_id(builtins).value()) !=
        std::string::npos);
  std::ifstream maps("/proc/self/maps");
  const std::string mapped{std::istreambuf_iterator<char>(maps), {}};
  CHECK(mapped.find(std::filesystem::canonical(builtins).string()) != std::string::npos);
  CHECK(fourge::jit::builtins_beside("/nowhere/libnvrtc.so.13", 13, 0).empty());
  CHECK(fourge::jit::builtins_beside(location.path, nvrtc().major() + 1, 0).empty());
}

TEST_CASE("a given library that is not there is not replaced by another", "[nvrtc]") {
  const auto location = locate_nvrtc({"/nonexistent/libnvrtc.so", ""});
  CHECK_FALSE(location.found());
  const auto message = fourge::jit::nvrtc_missing_message(location);
  CHECK(message.find("/nonexistent/libnvrtc.so") != std::string::npos);
  CHECK(message.find("FOURGE_NVRTC") != std::string::npos);
}

TEST_CASE("a library that is not NVRTC is refused with its path", "[nvrtc]") {
  const std::string directory = scratch_directory("bad");
  const std::string path = directory + "/libnvrtc.so";
  std::ofstream(path) << "not a library";
  CHECK_THROWS_AS(Nvrtc(path), fourge::Error);
  try {
    Nvrtc bad(path);
  } catch (const fourge::Error& error) {
    CHECK(error.kind() == fourge::ErrorKind::library_missing);
    CHECK(std::string(error.what()).find(path) != std::string::npos);
  }
  CHECK_FALSE(fourge::jit::read_build_id(path).has_value());
  CHECK_FALSE(fourge::jit::read_build_id(directory).has_value());
  CHECK_FALSE(fourge::jit::read_build_id(directory + "/absent").has_value());
  std::filesystem::remove_all(directory);
}

TEST_CASE("refused source comes back with NVRTC's log", "[nvrtc]") {
  const std::vector<std::string> options{"--gpu-architecture=sm_90a"};
  const auto output = nvrtc().compile("int f( { return 0; }", "broken.cu", options);
  CHECK_FALSE(output.ok);
  CHECK(output.log.find("broken.cu(1)") != std::string::npos);
  CHECK(output.status == "NVRTC_ERROR_COMPILATION");
  CHECK(output.cubin.empty());
}

TEST_CASE("a bad option is reported, not ignored", "[nvrtc]") {
  const std::vector<std::string> options{"--gpu-architecture=sm_12345"};
  const auto output = nvrtc().compile("", "empty.cu", options);
  CHECK_FALSE(output.ok);
  CHECK_FALSE(output.log.empty());
}

TEST_CASE("compiling twice gives the same bytes", "[nvrtc]") {
  const auto spec = KernelSpec::parse("nvfp4_quantize[layout=128x4,tpc=2]@sm_90a");
  const auto first = fourge::tests::compile(spec);
  const auto second = fourge::tests::compile(spec);
  REQUIRE(first.ok);
  REQUIRE_FALSE(first.cubin.empty());
  CHECK(first.cubin == second.cubin);
  CHECK(first.log.empty());
}
