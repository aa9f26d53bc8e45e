#include "cache/key.hpp"

#include <fourge/error.hpp>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "tests/support/catch.hpp"

namespace fourge::tests {

using cache::CacheKey;
using cache::is_entry_file_name;
using cache::KeyBuilder;
using List = std::vector<std::string>;

namespace {

struct Parts {
  std::string spec = "nvfp4_quantize[in=bf16]@sm_90a";
  std::string source = "0123abcd";
  List options{"-I", "-O2"};
  std::string compiler = "13.0 build 7";
};

CacheKey key_of(const Parts& parts) {
  return KeyBuilder()
      .field("spec", parts.spec)
      .field("source", parts.source)
      .field("options", parts.options)
      .toolchain("nvrtc", parts.compiler)
      .finish();
}

}  // namespace

// Computed from the grammar in cache/key.hpp by an independent program. If this fails, what is
// digested has changed: raise kKeyFormat, extend the version history, and pin the new digests.
TEST_CASE("the digests of a fixed key are pinned") {
  const CacheKey key = key_of({});
  CHECK(cache::kKeyFormat == 1);
  CHECK(key.request.hex() == "8d1490016abe1e571b388f216e5b142e1fc2820b1ec0c387d680650e336bde55");
  CHECK(key.full.hex() == "eedafd7265c7e31a3bae6618bf8405c4e7c7b67c41ec0e323c3e11f3f024c9ab");
  CHECK(key.record ==
        R"({"key_format":1,"request":{"spec":"nvfp4_quantize[in=bf16]@sm_90a","source":"0123abcd",)"
        R"("options":["-I","-O2"]},"toolchain":{"nvrtc":"13.0 build 7"}})");
}

TEST_CASE("the same fields give the same key") {
  const CacheKey a = key_of({});
  const CacheKey b = key_of({});
  CHECK(a.request == b.request);
  CHECK(a.full == b.full);
  CHECK(a.record == b.record);
}

TEST_CASE("every field of the request changes both digests") {
  const std::vector<std::function<void(Parts&)>> mutations{
      [](Parts& parts) { parts.spec = "nvfp4_quantize[in=f16]@sm_90a"; },
      [](Parts& parts) { parts.spec = "nvfp4_quantize[in=bf16]@sm_90"; },
      [](Parts& parts) { parts.source = "0123abce"; },
      [](Parts& parts) { parts.source = ""; },
      [](Parts& parts) { parts.options.push_back("-G"); },
      [](Parts& parts) { parts.options.clear(); },
      [](Parts& parts) { std::swap(parts.options[0], parts.options[1]); },
      [](Parts& parts) { parts.options[1] += ' '; },
  };
  std::set<std::string> requests{key_of({}).request.hex()};
  std::set<std::string> fulls{key_of({}).full.hex()};
  for (const auto& mutate : mutations) {
    Parts parts;
    mutate(parts);
    requests.insert(key_of(parts).request.hex());
    fulls.insert(key_of(parts).full.hex());
  }
  CHECK(requests.size() == mutations.size() + 1);
  CHECK(fulls.size() == mutations.size() + 1);
}

TEST_CASE("the compiler changes the full digest only") {
  Parts other;
  other.compiler = "13.0 build 8";
  CHECK(key_of(other).request == key_of({}).request);
  CHECK(key_of(other).full != key_of({}).full);
  CHECK(key_of(other).shard() == key_of({}).shard());
  CHECK(key_of(other).file_name().substr(0, 16) == key_of({}).file_name().substr(0, 16));
}

// Lists of fields that would be the same bytes if anything were merely put one after the other.
TEST_CASE("no two lists of fields give one key") {
  const std::vector<CacheKey> keys{
      KeyBuilder().finish(),
      KeyBuilder().field("a", "").finish(),
      KeyBuilder().field("a", "b").finish(),
      KeyBuilder().field("ab", "").finish(),
      KeyBuilder().field("a", "bc").finish(),
      KeyBuilder().field("ab", "c").finish(),
      KeyBuilder().field("a", "b").field("c", "").finish(),
      KeyBuilder().field("a", "").field("b", "").finish(),
      KeyBuilder().field("b", "").field("a", "").finish(),
      KeyBuilder().field("a", List{}).finish(),
      KeyBuilder().field("a", List{""}).finish(),
      KeyBuilder().field("a", List{"", ""}).finish(),
      KeyBuilder().field("a", List{"b"}).finish(),
      KeyBuilder().field("a", List{"-I -O2"}).finish(),
      KeyBuilder().field("a", List{"-I", "-O2"}).finish(),
      KeyBuilder().field("a", List{"-I", " -O2"}).finish(),
      KeyBuilder().field("a", List{"-I-O2"}).finish(),
      KeyBuilder().field("a", List{"-I"}).field("-O2", "").finish(),
      KeyBuilder().field("a", std::string_view("b\0", 2)).finish(),
      KeyBuilder().toolchain("a", "").finish(),
      KeyBuilder().toolchain("a", "b").finish(),
      KeyBuilder().field("c", "").toolchain("a", "b").finish(),
      KeyBuilder().toolchain("c", "").toolchain("a", "b").finish(),
  };
  std::set<std::string> digests;
  for (const CacheKey& key : keys) {
    digests.insert(key.full.hex());
    CHECK(key.full != key.request);
  }
  CHECK(digests.size() == keys.size());
}

TEST_CASE("a tag is used once and is never empty") {
  const auto kind_of = [](const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.kind();
    }
    FAIL("nothing was thrown");
    return ErrorKind::io;
  };
  CHECK(kind_of([] { KeyBuilder().field("a", "1").field("a", "2"); }) == ErrorKind::internal);
  CHECK(kind_of([] { KeyBuilder().field("a", "1").field("a", List{}); }) == ErrorKind::internal);
  CHECK(kind_of([] { KeyBuilder().field("a", "1").toolchain("a", "1"); }) == ErrorKind::internal);
  CHECK(kind_of([] { KeyBuilder().toolchain("a", "1").field("a", "1"); }) == ErrorKind::internal);
  CHECK(kind_of([] { KeyBuilder().field("", "1"); }) == ErrorKind::internal);
}

TEST_CASE("the record tells every field, whatever its bytes") {
  const CacheKey key = KeyBuilder()
                           .field("quote", "a\"b\\\n")
                           .field("not utf-8", "\xff\xfe")
                           .field("list", List{"x", ""})
                           .toolchain("nvrtc", "13.0")
                           .finish();
  const auto record = nlohmann::json::parse(key.record);
  CHECK(record.at("key_format") == cache::kKeyFormat);
  CHECK(record.at("request").at("quote") == "a\"b\\\n");
  CHECK(record.at("request").contains("not utf-8"));
  CHECK(record.at("request").at("list") == List{"x", ""});
  CHECK(record.at("toolchain").at("nvrtc") == "13.0");
}

TEST_CASE("file names are made of the digests") {
  const CacheKey key = key_of({});
  CHECK(key.shard() == "8d");
  CHECK(key.file_name() ==
        "8d1490016abe1e57-eedafd7265c7e31a3bae6618bf8405c4e7c7b67c41ec0e323c3e11f3f024c9ab.fourge");
  CHECK(is_entry_file_name(key.file_name()));
  CHECK_FALSE(is_entry_file_name(""));
  CHECK_FALSE(is_entry_file_name(key.file_name() + ".tmp"));
  CHECK_FALSE(is_entry_file_name(key.file_name().substr(1)));
  std::string other = key.file_name();
  other[3] = 'X';
  CHECK_FALSE(is_entry_file_name(other));
}

}  // namespace fourge::tests
