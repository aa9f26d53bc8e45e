#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <thread>

#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"

using namespace fourge::tests;
namespace fs = std::filesystem;

namespace {

constexpr const char* kOther =
    "nvfp4_quantize[in=bf16,layout=8x4,scale=tensor,math=exact,tpc=2,4over6=off]@sm_100a";

const std::vector<std::string> kTwoVariants{"prewarm",
                                            "--op",
                                            "nvfp4_quantize",
                                            "--target",
                                            "sm_90a",
                                            "--variants",
                                            "in=bf16,tpc=1,layout=linear,scale=tensor,4over6=off",
                                            "--json"};

std::vector<std::string> with(std::vector<std::string> arguments,
                              const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// Contents and modes of everything below a directory, by relative path.
std::map<std::string, std::string> tree(const std::string& root) {
  std::map<std::string, std::string> found;
  for (const auto& item : fs::recursive_directory_iterator(root)) {
    found[item.path().lexically_relative(root).string()] =
        std::to_string(static_cast<unsigned>(item.status().permissions())) + ' ' +
        (item.is_regular_file() ? read_text(item.path()) : std::string());
  }
  return found;
}

// Whether a process names this text on its command line: a worker that outlives its parent for a moment.
bool is_named(const std::string& text) {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    if (entry.path().filename().string().find_first_not_of("0123456789") != std::string::npos) {
      continue;
    }
    std::ifstream command(entry.path() / "cmdline");
    const std::string line{std::istreambuf_iterator<char>(command), {}};
    if (line.find(text) != std::string::npos) return true;
  }
  return false;
}

unsigned mode_of(const std::string& path) {
  return static_cast<unsigned>(fs::status(path).permissions());
}

}  // namespace

TEST_CASE("cli: a bundle is exported, used in place, and imported, without NVRTC") {
  Sandbox sandbox;
  const auto built = sandbox.run({"build", kSpec, "--json"}).json();
  REQUIRE(sandbox.run({"build", kOther}).exit_code == 0);
  const std::string bundle = sandbox.path("output/fleet.fourge");
  const auto exported = sandbox.run({"cache", "export", "--output", bundle, "--json"});
  REQUIRE(exported.exit_code == 0);
  CHECK(exported.json().at("entries") == 2);
  CHECK(exported.json().at("bytes") == fs::file_size(bundle));
  CHECK(exported.json().at("signed") == false);
  CHECK(names_in(sandbox.path("output")) == std::vector<std::string>{"fleet.fourge"});

  sandbox.set_variable("FOURGE_NVRTC", "/nonexistent/libnvrtc.so.13");
  sandbox.set_variable("FOURGE_CACHE_DIR", sandbox.path("fresh"));
  CHECK(sandbox.run({"build", kSpec}).exit_code == 3);
  const auto used = sandbox.run({"build", kSpec, "--json", "--cache-read-only", bundle});
  REQUIRE(used.exit_code == 0);
  CHECK(used.json().at("origin") == "disk");
  CHECK(used.json().at("cubin_sha256") == built.at("cubin_sha256"));

  sandbox.set_variable("FOURGE_CACHE_DIR", sandbox.path("imported"));
  const auto imported = sandbox.run({"cache", "import", bundle, "--json"});
  REQUIRE(imported.exit_code == 0);
  CHECK(imported.json().at("imported") == 2);
  CHECK(sandbox.run({"cache", "import", bundle, "--json"}).json().at("present") == 2);
  CHECK(sandbox.run({"build", kSpec, "--json"}).json().at("cubin_sha256") ==
        built.at("cubin_sha256"));
}

TEST_CASE("cli: two exports are the same bytes, whatever came first") {
  Sandbox sandbox;
  const std::string other_cache = sandbox.path("other-cache");
  REQUIRE(sandbox.run({"build", kSpec}).exit_code == 0);
  REQUIRE(sandbox.run({"build", kOther}).exit_code == 0);
  REQUIRE(sandbox.run({"build", kOther, "--cache-dir", other_cache}).exit_code == 0);
  REQUIRE(sandbox.run({"build", kSpec, "--cache-dir", other_cache}).exit_code == 0);
  REQUIRE(sandbox.run({"cache", "export", "--output", sandbox.path("a.fourge")}).exit_code == 0);
  REQUIRE(sandbox
              .run({"cache", "export", "--output", sandbox.path("b.fourge"), "--cache-dir",
                    other_cache})
              .exit_code == 0);
  CHECK(read_text(sandbox.path("a.fourge")) == read_text(sandbox.path("b.fourge")));

  const auto filtered = sandbox.run(
      {"cache", "export", "--output", sandbox.path("c.fourge"), "--target", "sm_100a", "--json"});
  CHECK(filtered.json().at("entries") == 1);
  CHECK(sandbox
            .run({"cache", "export", "--output", sandbox.path("d.fourge"), "--variants", "in=f16",
                  "--json"})
            .json()
            .at("entries") == 1);
  const auto none =
      sandbox.run({"cache", "export", "--output", sandbox.path("e.fourge"), "--target", "sm_120a"});
  CHECK(none.exit_code == 2);
  CHECK(!fs::exists(sandbox.path("e.fourge")));
}

TEST_CASE("cli: signed bundles") {
  Sandbox sandbox;
  const std::string secret = sandbox.path("secret.pem");
  const std::string known = sandbox.path("known.pem");
  REQUIRE(sandbox.run({"cache", "keygen", "--private", secret, "--public", known}).exit_code == 0);
  CHECK(mode_of(secret) == 0600);
  CHECK(read_text(known).find("BEGIN PUBLIC KEY") != std::string::npos);
  // A key is not written over.
  const std::string before = read_text(secret);
  CHECK(sandbox.run({"cache", "keygen", "--private", secret, "--public", sandbox.path("p.pem")})
            .exit_code == 2);
  CHECK(read_text(secret) == before);

  REQUIRE(sandbox.run({"build", kSpec}).exit_code == 0);
  const std::string plain = sandbox.path("plain.fourge");
  const std::string signed_one = sandbox.path("signed.fourge");
  REQUIRE(sandbox.run({"cache", "export", "--output", plain}).exit_code == 0);
  REQUIRE(sandbox.run({"cache", "export", "--output", signed_one, "--sign", secret}).exit_code ==
          0);
  const std::string fresh = sandbox.path("fresh");
  const auto refused =
      sandbox.run({"cache", "import", plain, "--public-key", known, "--cache-dir", fresh});
  CHECK(refused.exit_code == 2);
  CHECK(refused.says("untrusted"));
  CHECK(refused.says("not signed"));
  CHECK(!fs::exists(fresh));
  CHECK(sandbox.run({"cache", "import", signed_one, "--public-key", known, "--cache-dir", fresh})
            .exit_code == 0);

  REQUIRE(sandbox
              .run({"cache", "keygen", "--private", sandbox.path("s2.pem"), "--public",
                    sandbox.path("k2.pem")})
              .exit_code == 0);
  sandbox.set_variable("FOURGE_BUNDLE_PUBLIC_KEY", sandbox.path("k2.pem"));
  CHECK(sandbox.run({"cache", "import", signed_one, "--cache-dir", fresh}).exit_code == 2);
  sandbox.set_variable("FOURGE_NVRTC", "/nonexistent/libnvrtc.so.13");
  const auto wrong = sandbox.run(
      {"build", kSpec, "--cache-dir", sandbox.path("none"), "--cache-read-only", signed_one});
  CHECK(wrong.exit_code == 3);
  CHECK(wrong.says("signature"));
  sandbox.set_variable("FOURGE_BUNDLE_PUBLIC_KEY", known);
  CHECK(sandbox
            .run({"build", kSpec, "--cache-dir", sandbox.path("none"), "--cache-read-only",
                  signed_one})
            .exit_code == 0);
}

TEST_CASE(
    "cli: a bad bundle imports nothing, a store that cannot be written says how far it came") {
  Sandbox sandbox;
  REQUIRE(sandbox.run({"build", kSpec}).exit_code == 0);
  const std::string bundle = sandbox.path("fleet.fourge");
  REQUIRE(sandbox.run({"cache", "export", "--output", bundle}).exit_code == 0);
  const std::string good = read_text(bundle);

  const std::string file = sandbox.path("file");
  write_text(file, "no directory");
  const auto blocked =
      sandbox.run({"cache", "import", bundle, "--cache-dir", file + "/cache", "--json"});
  CHECK(blocked.exit_code == 5);
  CHECK(blocked.json().at("imported") == 0);
  CHECK(!blocked.json().at("failure").get<std::string>().empty());

  std::string bad = good;
  bad.back() = static_cast<char>(bad.back() ^ 1);
  write_text(bundle, bad);
  const std::string fresh = sandbox.path("fresh");
  const auto refused = sandbox.run({"cache", "import", bundle, "--cache-dir", fresh});
  CHECK(refused.exit_code == 2);
  CHECK(refused.says("corrupt"));
  CHECK(!fs::exists(fresh));

  write_text(bundle, good);
  fs::permissions(bundle, fs::perms(0666));
  const auto open = sandbox.run({"cache", "import", bundle, "--cache-dir", fresh});
  CHECK(open.exit_code == 2);
  CHECK(open.says("0666"));
  CHECK(sandbox.run({"cache", "import", sandbox.path("none.fourge")}).exit_code == 2);
}

TEST_CASE("cli: an export leaves bad entries out and exits with 1") {
  Sandbox sandbox;
  REQUIRE(sandbox.run({"build", kSpec}).exit_code == 0);
  REQUIRE(sandbox.run({"build", kOther}).exit_code == 0);
  const fs::path entry = entry_files(sandbox.cache()).at(0);
  fs::resize_file(entry, fs::file_size(entry) - 1);
  const auto exported =
      sandbox.run({"cache", "export", "--output", sandbox.path("a.fourge"), "--json"});
  CHECK(exported.exit_code == 1);
  CHECK(exported.json().at("entries") == 1);
  CHECK(exported.json().at("bad") == 1);
  CHECK(exported.json().at("gone") == 0);
  CHECK(
      sandbox
          .run({"cache", "import", sandbox.path("a.fourge"), "--cache-dir", sandbox.path("fresh")})
          .exit_code == 0);
}

TEST_CASE("cli: prewarm --output makes a cache that others read, and compiles nothing twice") {
  Sandbox sandbox;
  const std::string baked = sandbox.path("image/cache");
  const auto local =
      sandbox.run({"prewarm", "--op", "nvfp4_quantize", "--target", "sm_90a", "--variants",
                   "in=bf16,tpc=1,layout=linear,math=exact,scale=tensor,4over6=off", "--json"});
  REQUIRE(local.exit_code == 0);
  REQUIRE(local.json().at("compiled") == 1);
  const auto local_entries = entry_files(sandbox.cache());

  const auto first = sandbox.run(with(kTwoVariants, {"--output", baked}));
  REQUIRE(first.exit_code == 0);
  const auto total = first.json().at("variants").get<int>();
  CHECK(total >= 2);
  CHECK(first.json().at("from_cache") == 1);
  CHECK(first.json().at("compiled") == total - 1);
  CHECK(first.json().at("entries") == total);
  CHECK(entry_files(sandbox.cache()) == local_entries);  // only read
  const auto made = tree(baked);
  CHECK(names_in(baked) == std::vector<std::string>{"v2"});
  for (const auto& item : fs::recursive_directory_iterator(baked)) {
    CHECK(mode_of(item.path().string()) == (item.is_directory() ? 0755U : 0644U));
    const std::string name = item.path().filename().string();
    CHECK((item.is_directory() || name.ends_with(".fourge")));
  }

  const auto second = sandbox.run(with(kTwoVariants, {"--output", baked}));
  CHECK(second.json().at("compiled") == 0);
  CHECK(tree(baked) == made);
  const std::string again = sandbox.path("again");
  const auto other =
      sandbox.run(with(kTwoVariants, {"--output", again, "--cache-dir", sandbox.path("no-cache")}));
  CHECK(other.json().at("compiled") == total);
  CHECK(tree(again) == made);

  sandbox.set_variable("FOURGE_CACHE_READ_ONLY", baked);
  sandbox.set_variable("FOURGE_CACHE_DIR", sandbox.path("fresh"));
  const auto used = sandbox.run(kTwoVariants);
  CHECK(used.json().at("compiled") == 0);
  CHECK(tree(baked) == made);
}

TEST_CASE("cli: what a killed prewarm --output has left goes with a later one, and nothing else") {
  Sandbox sandbox;
  const std::string baked = sandbox.path("baked");
  RunningCommand killed = sandbox.start(with(kTwoVariants, {"--output", baked}));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!fs::exists(baked) || names_in(baked).empty()) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  REQUIRE(::kill(killed.id(), SIGKILL) == 0);
  CHECK(killed.wait().exit_code == 128 + SIGKILL);
  const std::string stale = baked + '/' + names_in(baked).at(0);
  CHECK(stale.find("/.prewarm-") != std::string::npos);
  while (is_named(stale)) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const std::string held = baked + "/.prewarm-abcdef";
  const std::string young = baked + "/.prewarm-bcdefg";
  const std::string mine = baked + "/.prewarm-notes-of-mine";
  const std::string link = baked + "/.prewarm-cdefgh";
  for (const std::string& directory : {held, young, mine, sandbox.path("outside")}) {
    fs::create_directories(directory);
    write_text(directory + "/file", "x");
  }
  fs::create_directory_symlink(sandbox.path("outside"), link);
  const std::string torn =
      baked + "/v2/ab/cd/0123456789abcdef-" + std::string(64, '0') + ".fourge.12.0.tmp";
  fs::create_directories(fs::path(torn).parent_path());
  write_text(torn, "half");
  const auto long_ago = fs::file_time_type::clock::now() - std::chrono::minutes(30);
  for (const std::string& path : {stale, held, mine, torn}) fs::last_write_time(path, long_ago);
  const int lock = ::open(held.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  REQUIRE(::flock(lock, LOCK_EX) == 0);

  CHECK(sandbox.run(with(kTwoVariants, {"--output", baked})).exit_code == 0);
  ::close(lock);
  CHECK_FALSE(fs::exists(stale));
  CHECK_FALSE(fs::exists(torn));
  for (const std::string& kept : {held, young, mine, sandbox.path("outside")}) {
    CHECK(fs::exists(kept + "/file"));
  }
  CHECK(fs::is_symlink(link));
  CHECK(names_in(baked).size() == 5);
}

TEST_CASE("cli: an import that ends early leaves whole entries only, and the next one ends it") {
  Sandbox sandbox;
  for (const char* const spec : {kSpec, kOther, "global_scale@sm_90a", "row_amax@sm_90a"}) {
    REQUIRE(sandbox.run({"build", spec}).exit_code == 0);
  }
  const std::string bundle = sandbox.path("fleet.fourge");
  REQUIRE(sandbox.run({"cache", "export", "--output", bundle}).exit_code == 0);
  // The third entry's shard is one that others may write: nothing is published there.
  const std::string target = sandbox.path("target");
  const fs::path third = entry_files(sandbox.cache()).at(2);
  const fs::path shard = fs::path(target) / "v2" / third.parent_path().parent_path().filename();
  fs::create_directories(shard);
  fs::permissions(target, fs::perms::owner_all);
  fs::permissions(shard.parent_path(), fs::perms::owner_all);
  fs::permissions(shard, fs::perms::all);
  const auto cut = sandbox.run({"cache", "import", bundle, "--cache-dir", target, "--json"});
  CHECK(cut.exit_code == 5);
  CHECK(cut.json().at("imported") == 2);
  CHECK(cut.json().at("entries") == 4);
  CHECK(cut.json().at("failure").get<std::string>().find("0777") != std::string::npos);
  CHECK(entry_files(target).size() == 2);
  for (const auto& item : fs::recursive_directory_iterator(target)) {
    CHECK(item.path().extension() != ".tmp");
  }
  fs::permissions(shard, fs::perms::owner_all);
  CHECK(sandbox.run({"cache", "verify", "--cache-dir", target, "--json"}).json().at("valid") == 2);
  const auto rest = sandbox.run({"cache", "import", bundle, "--cache-dir", target, "--json"});
  CHECK(rest.exit_code == 0);
  CHECK(rest.json().at("imported") == 2);
  CHECK(rest.json().at("present") == 2);
}

TEST_CASE("cli: prewarm --output where no directory can be") {
  Sandbox sandbox;
  write_text(sandbox.path("file"), "no directory");
  CHECK(sandbox.run(with(kTwoVariants, {"--output", sandbox.path("file/cache")})).exit_code == 2);
}
