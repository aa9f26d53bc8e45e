// fourge explain: is the kernel in the cache, and if not, what made the miss.
#include <filesystem>

#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"

using namespace fourge::tests;

namespace {

constexpr const char* kExplained =
    "nvfp4_quantize[in=bf16,layout=linear,scale=tensor,math=exact,tpc=1,4over6=off]@sm_90a";
constexpr const char* kOtherAxis =
    "nvfp4_quantize[in=bf16,layout=linear,scale=tensor,math=exact,tpc=2,4over6=off]@sm_90a";

nlohmann::json difference(const nlohmann::json& explanation, const std::string& field) {
  for (const auto& difference : explanation.at("nearest").at("differences")) {
    if (difference.at("field") == field) return difference;
  }
  FAIL("no difference in " + field);
  return {};
}

// An entry of the key without a kernel: private, so that the store believes it.
void put_entry(const std::string& cache, const fourge::cache::CacheKey& key) {
  namespace fs = std::filesystem;
  const fs::path shard = fs::path(cache) / "v2" / key.directory();
  fs::create_directories(shard);
  for (const fs::path& directory : {fs::path(cache), fs::path(cache) / "v2", shard}) {
    fs::permissions(directory, fs::perms::owner_all);
  }
  const fs::path path = shard / key.file_name();
  write_text(path, fourge::cache::encode_entry(key, {}));
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
}

}  // namespace

TEST_CASE("cli: explain of an empty cache names nothing and creates nothing") {
  Sandbox sandbox;
  const CommandResult result = sandbox.run({"explain", kExplained, "--json"});
  CHECK(result.exit_code == 1);
  const auto explanation = result.json();
  CHECK(explanation.at("spec") == kExplained);
  CHECK(explanation.at("present") == false);
  CHECK(explanation.at("nearest").is_null());
  CHECK(explanation.at("entries") == 0);
  CHECK(explanation.at("record").at("request").at("target") == "sm_90a");
  CHECK(sandbox.run({"explain", kExplained}).out.find("not among the 0 entries") !=
        std::string::npos);
  CHECK_FALSE(std::filesystem::exists(sandbox.cache()));
}

TEST_CASE("cli: explain finds the entry that build made, under the same key") {
  Sandbox sandbox;
  const auto built = sandbox.run({"build", kExplained, "--json"}).json();
  const CommandResult result =
      sandbox.run({"explain", "nvfp4_quantize", "--target", "sm_90a", "--json"});
  CHECK(result.exit_code == 0);
  CHECK(result.json().at("present") == true);
  CHECK(result.json().at("key") == built.at("key"));
  CHECK(result.json().at("path") == entry_files(sandbox.cache()).at(0).string());
  CHECK(result.json().at("nearest").is_null());
  CHECK(sandbox.run({"explain", kExplained}).out.find("in the cache") != std::string::npos);
}

TEST_CASE("cli: explain names the nearest entry and each field that differs") {
  Sandbox sandbox;
  REQUIRE(sandbox.run({"build", kExplained}).exit_code == 0);
  REQUIRE(sandbox.run({"build", "row_amax@sm_90a"}).exit_code == 0);

  const CommandResult axis = sandbox.run({"explain", kOtherAxis, "--json"});
  CHECK(axis.exit_code == 1);
  CHECK(axis.json().at("nearest").at("spec") == kExplained);
  CHECK(axis.json().at("nearest").at("equal_fields") == 3);
  CHECK(axis.json().at("nearest").at("fields") == 5);
  CHECK(axis.json().at("nearest").at("differences").size() == 2);
  const auto source = difference(axis.json(), "source_sha256");
  CHECK(source.at("note").get<std::string>().find("the generated source differs") == 0);
  CHECK(source.at("wanted") != source.at("found"));
  const std::string found = difference(axis.json(), "spec").at("found");
  CHECK(found + "@sm_90a" == kExplained);

  const CommandResult target = sandbox.run({"explain", "nvfp4_quantize@sm_90", "--json"});
  CHECK(target.exit_code == 1);
  CHECK(target.json().at("nearest").at("spec") == kExplained);
  CHECK(difference(target.json(), "target").at("wanted") == "sm_90");
  CHECK(difference(target.json(), "target").at("found") == "sm_90a");
  const auto options = difference(target.json(), "options");
  CHECK(options.at("only_wanted") == std::vector<std::string>{"--gpu-architecture=sm_90"});
  CHECK(options.at("only_found") == std::vector<std::string>{"--gpu-architecture=sm_90a"});
  const std::string text = sandbox.run({"explain", "nvfp4_quantize@sm_90"}).out;
  CHECK(text.find("wanted  --gpu-architecture=sm_90\n") != std::string::npos);
  CHECK(text.find("found   --gpu-architecture=sm_90a\n") != std::string::npos);
  CHECK(text.find("the generated source differs") != std::string::npos);
}

TEST_CASE("cli: explain without NVRTC takes the entry of any") {
  Sandbox sandbox;
  REQUIRE(sandbox.run({"build", kExplained}).exit_code == 0);
  const CommandResult present = sandbox.run({"explain", kExplained, "--nvrtc", "/none", "--json"});
  CHECK(present.exit_code == 0);
  CHECK(present.json().at("key").is_null());
  CHECK(present.json().at("present") == true);
  const CommandResult absent = sandbox.run({"explain", kOtherAxis, "--nvrtc", "/none", "--json"});
  CHECK(absent.exit_code == 1);
  CHECK(absent.json().at("nearest").at("fields") == 4);
  CHECK(absent.json().at("nearest").at("differences").size() == 2);
}

TEST_CASE("cli: explain tells another build of NVRTC, and an option of another list") {
  Sandbox sandbox;
  const auto empty = sandbox.run({"explain", kExplained, "--json"}).json().at("record");
  const auto& request = empty.at("request");
  auto options = request.at("options").get<std::vector<std::string>>();
  options.push_back("-G");
  put_entry(sandbox.cache(),
            fourge::cache::KeyBuilder()
                .field("spec", request.at("spec").get<std::string>())
                .field("target", request.at("target").get<std::string>())
                .field("source_sha256", request.at("source_sha256").get<std::string>())
                .field("options", options)
                .toolchain("nvrtc", "another build")
                .finish());
  const CommandResult result = sandbox.run({"explain", kExplained, "--json"});
  CHECK(result.exit_code == 1);
  CHECK(result.json().at("nearest").at("differences").size() == 2);
  CHECK(difference(result.json(), "nvrtc").at("found") == "another build");
  CHECK(difference(result.json(), "nvrtc").at("wanted") == empty.at("toolchain").at("nvrtc"));
  CHECK(difference(result.json(), "options").at("only_found") == std::vector<std::string>{"-G"});
  CHECK(difference(result.json(), "options").at("only_wanted").empty());
}

TEST_CASE("cli: explain survives records that are none, and says so") {
  Sandbox sandbox;
  fourge::cache::CacheKey key = fourge::cache::KeyBuilder().field("spec", "x").finish();
  key.record = "{\"key_format\":" + std::string(5000, '[');
  put_entry(sandbox.cache(), key);
  const CommandResult result = sandbox.run({"explain", kExplained, "--json"});
  CHECK(result.exit_code == 1);
  CHECK(result.json().at("nearest").is_null());
  REQUIRE(result.json().at("unreadable_records").size() == 1);
  CHECK_FALSE(result.json().at("unreadable_records").at(0).at("detail").get<std::string>().empty());
  CHECK(sandbox.run({"explain", kExplained}).out.find("key record unreadable") !=
        std::string::npos);
}

TEST_CASE("cli: explain tells a bad entry of the key, and leaves it") {
  Sandbox sandbox;
  REQUIRE(sandbox.run({"build", kExplained}).exit_code == 0);
  const auto path = entry_files(sandbox.cache()).at(0);
  std::string bytes = read_text(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_text(path, bytes);
  const CommandResult result = sandbox.run({"explain", kExplained, "--json"});
  CHECK(result.exit_code == 1);
  CHECK(result.json().at("present") == false);
  CHECK(result.json().at("bad").at("cause") == "corrupt");
  CHECK(sandbox.run({"explain", kExplained}).out.find("its entry is bad (corrupt)") !=
        std::string::npos);
  CHECK(std::filesystem::exists(path));
}

TEST_CASE("cli: explain looks into read-only tiers, in their order, and says which has it") {
  Sandbox sandbox;
  const std::string lower = sandbox.path("lower");
  const std::string bundle = sandbox.path("one.fourge");
  REQUIRE(sandbox.run({"build", kOtherAxis, "--cache-dir", lower}).exit_code == 0);
  REQUIRE(sandbox.run({"build", kExplained, "--cache-dir", sandbox.path("other")}).exit_code == 0);
  REQUIRE(sandbox.run({"cache", "export", "--output", bundle, "--cache-dir", sandbox.path("other")})
              .exit_code == 0);
  const auto explain = [&](const std::string& tiers) {
    sandbox.set_variable("FOURGE_CACHE_READ_ONLY", tiers);
    return sandbox.run({"explain", kExplained, "--json"});
  };
  const CommandResult in_bundle = explain(lower + ':' + bundle);
  CHECK(in_bundle.exit_code == 0);
  CHECK(in_bundle.json().at("tier") == "bundle");
  CHECK(in_bundle.json().at("path") == bundle);
  CHECK(in_bundle.json().at("entries") == 2);
  REQUIRE(in_bundle.json().at("tiers").size() == 3);
  CHECK(in_bundle.json().at("tiers").at(0).at("kind") == "local");
  CHECK(in_bundle.json().at("tiers").at(1).at("kind") == "directory");
  CHECK(in_bundle.json().at("tiers").at(2).at("entries") == 1);
  CHECK(sandbox.run({"explain", kExplained}).out.find("in the read-only tier " + bundle) !=
        std::string::npos);

  const CommandResult nearest = explain(lower);
  CHECK(nearest.exit_code == 1);
  CHECK(nearest.json().at("nearest").at("spec") == kOtherAxis);
  CHECK(nearest.json().at("nearest").at("tier") == "directory");
  CHECK(nearest.json().at("nearest").at("path") == entry_files(lower).at(0).string());

  std::filesystem::permissions(bundle, std::filesystem::perms(0666));
  const CommandResult refused = explain(bundle + ':' + sandbox.path("none"));
  CHECK(refused.exit_code == 1);
  const auto tiers = refused.json().at("tiers");
  CHECK(tiers.at(1).at("refused").get<std::string>().find("0666") != std::string::npos);
  CHECK(tiers.at(2).at("refused").get<std::string>().find("there is no") == 0);
  CHECK(sandbox.run({"explain", kExplained}).out.find("is not used: ") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(sandbox.cache()));
}

TEST_CASE("cli: explain goes on where the cache directory is not trusted") {
  Sandbox sandbox;
  const std::string lower = sandbox.path("lower");
  REQUIRE(sandbox.run({"build", kExplained, "--cache-dir", lower}).exit_code == 0);
  std::filesystem::create_directories(sandbox.cache());
  std::filesystem::permissions(sandbox.cache(), std::filesystem::perms(0777));
  const CommandResult nowhere = sandbox.run({"explain", kExplained});
  CHECK(nowhere.exit_code == 1);
  CHECK(nowhere.out.find("cache directory " + sandbox.cache() + " is not used") !=
        std::string::npos);
  const CommandResult below =
      sandbox.run({"explain", kExplained, "--cache-read-only", lower, "--json"});
  CHECK(below.exit_code == 0);
  CHECK(below.json().at("tier") == "directory");
  CHECK(below.json().at("tiers").at(0).at("refused").get<std::string>().find("chmod go-w") !=
        std::string::npos);
  // What is built there says why it is not kept.
  const CommandResult built = sandbox.run({"build", kExplained});
  CHECK(built.exit_code == 0);
  CHECK(built.says("keeps nothing"));
  CHECK(built.says("chmod go-w"));
}

TEST_CASE("cli: explain refuses a spec that is none") {
  Sandbox sandbox;
  CHECK(sandbox.run({"explain", "no_such_op@sm_90a"}).exit_code == 2);
}
