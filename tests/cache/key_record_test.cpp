#include "cache/key_record.hpp"

#include <string>

#include "tests/support/catch.hpp"

namespace fourge::tests {

using cache::compare;
using cache::KeyBuilder;
using cache::KeyRecord;
using cache::parse_key_record;
using List = std::vector<std::string>;

namespace {

std::string record_text(const std::string& spec, const std::string& target,
                        const List& options = {"-O2", "--std=c++17"},
                        const std::string& nvrtc = "build 7") {
  return KeyBuilder()
      .field("spec", spec)
      .field("target", target)
      .field("options", options)
      .toolchain("nvrtc", nvrtc)
      .finish()
      .record;
}

KeyRecord parsed(const std::string& text) {
  auto result = parse_key_record(text);
  INFO(text << ": " << result.detail);
  REQUIRE(result.record);
  return *result.record;
}

std::string refusal(const std::string& text) {
  const auto result = parse_key_record(text);
  INFO(text);
  CHECK_FALSE(result.record);
  return result.detail;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a record is read back field by field") {
  const KeyRecord record = parsed(record_text("op[in=bf16]", "sm_90a"));
  CHECK(record.key_format == cache::kKeyFormat);
  REQUIRE(record.fields.size() == 4);
  CHECK(record.fields[0] == cache::RecordField{"spec", false, false, {"op[in=bf16]"}});
  CHECK(record.fields[2] == cache::RecordField{"options", false, true, {"-O2", "--std=c++17"}});
  CHECK(record.fields[3] == cache::RecordField{"nvrtc", true, false, {"build 7"}});
  CHECK(record.spec_text() == "op[in=bf16]@sm_90a");
  CHECK(record.value("target") == "sm_90a");
  CHECK(record.value("options").empty());
  CHECK(record.find("nothing") == nullptr);
}

TEST_CASE("whatever a builder can write is read back") {
  const KeyRecord record = parsed(KeyBuilder()
                                      .field("quote", "a\"b\\\n")
                                      .field("bytes", "\xff\xfe")
                                      .field("key_format", "3")
                                      .field("empty", List{})
                                      .finish()
                                      .record);
  CHECK(record.value("quote") == "a\"b\\\n");
  CHECK(record.value("bytes") == "\xef\xbf\xbd\xef\xbf\xbd");
  CHECK(record.value("key_format") == "3");
  REQUIRE(record.find("empty") != nullptr);
  CHECK(record.find("empty")->values.empty());
  CHECK(parsed(KeyBuilder().finish().record).fields.empty());
}

TEST_CASE("what is no key record is refused by what is wrong") {
  CHECK(contains(refusal(""), "no JSON"));
  CHECK(contains(refusal("{"), "no JSON"));
  CHECK(contains(refusal("[]"), "a list is out of place"));
  CHECK(contains(refusal("null"), "null is out of place"));
  CHECK(contains(refusal("{}"), "\"key_format\" is missing"));
  CHECK(contains(refusal(R"({"key_format":1,"request":{}})"), "\"toolchain\" is missing"));
  CHECK(contains(refusal(R"({"key_format":-1,"request":{},"toolchain":{}})"), "a number"));
  CHECK(contains(refusal(R"({"key_format":1e999,"request":{},"toolchain":{}})"), "no JSON"));
  CHECK(contains(refusal(R"({"key_format":{},"request":{},"toolchain":{}})"), "an object"));
  CHECK(contains(refusal(R"({"key_format":1,"request":"x","toolchain":{}})"), "a text"));
  CHECK(contains(refusal(R"({"key_format":1,"request":[],"toolchain":{}})"), "a list"));
  CHECK(contains(refusal(R"({"key_format":1,"key_format":1})"), "there twice"));
  CHECK(contains(refusal(R"({"key_format":1,"more":1})"), "\"more\" is unknown"));
  const auto request = [](const std::string& fields) {
    return R"({"key_format":1,"request":{)" + fields + R"(},"toolchain":{}})";
  };
  CHECK(contains(refusal(request(R"("a":"1","a":"2")")), "\"a\" is there twice"));
  CHECK(contains(refusal(request(R"("":"1")")), "empty tag"));
  CHECK(contains(refusal(request(R"("a":1)")), "a number is out of place"));
  CHECK(contains(refusal(request(R"("a":{})")), "an object is out of place"));
  CHECK(contains(refusal(request(R"("a":[1])")), "a number is out of place"));
  CHECK(contains(refusal(request(R"("a":[[]])")), "a list is out of place"));
  CHECK(contains(refusal(request("\"a\":\"\xff\"")), "no JSON"));
  CHECK(contains(refusal(request(R"("a":"1")") + "x"), "no JSON"));
}

TEST_CASE("long, deep and wide records are refused and do no harm") {
  CHECK(contains(refusal(std::string(cache::kMaximumRecordBytes + 1, ' ')), "more than any"));
  CHECK(contains(refusal(std::string(cache::kMaximumRecordBytes, '[')), "out of place"));
  std::string wide = R"({"key_format":1,"toolchain":{},"request":{)";
  for (int i = 0; i < 300; ++i) wide += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":\"\"";
  CHECK(contains(refusal(wide + "}}"), "too many fields"));
}

TEST_CASE("every cut of a record is refused") {
  const std::string whole = record_text("op[in=bf16]", "sm_90a");
  for (std::size_t length = 0; length < whole.size(); ++length) refusal(whole.substr(0, length));
}

TEST_CASE("records are compared field by field") {
  const KeyRecord wanted = parsed(record_text("op[in=bf16,tpc=1]", "sm_90a"));
  CHECK(compare(wanted, wanted).different.empty());
  CHECK(compare(wanted, wanted).equal == 4);

  const auto other =
      compare(wanted, parsed(record_text("op[in=bf16,tpc=2]", "sm_90", {"-O2", "-G"}, "build 8")));
  CHECK(other.equal == 0);
  CHECK(other.equal_parts == 3);  // op, in=bf16; -O2
  REQUIRE(other.different.size() == 4);
  CHECK(other.different[0].tag == "spec");
  CHECK(other.different[0].wanted->values.front() == "op[in=bf16,tpc=1]");
  CHECK(other.different[0].found->values.front() == "op[in=bf16,tpc=2]");
  CHECK(other.different[1].tag == "target");
  CHECK(other.different[2].tag == "options");
  CHECK(other.different[3].tag == "nvrtc");

  const auto newer = compare(wanted, parsed(R"({"key_format":9,"request":{"spec":"x","more":"y"},)"
                                            R"("toolchain":{}})"));
  REQUIRE(newer.different.size() == 6);
  CHECK(newer.different[0].tag == "key_format");
  CHECK(newer.different[0].found->values.front() == "9");
  CHECK_FALSE(newer.different[2].found);   // target
  CHECK_FALSE(newer.different[5].wanted);  // more
}

TEST_CASE("the nearest record has the most equal fields, then the most equal parts") {
  const KeyRecord wanted = parsed(record_text("op[in=bf16,tpc=1,math=exact]", "sm_90a"));
  const auto near = compare(wanted, parsed(record_text("op[in=bf16,tpc=2,math=exact]", "sm_90a")));
  const auto far = compare(wanted, parsed(record_text("op[in=f16,tpc=2,math=exact]", "sm_90a")));
  const auto other = compare(
      wanted, parsed(record_text("op[in=bf16,tpc=1,math=exact]", "sm_90", {"-O2", "--std=c++20"})));
  CHECK(near.nearer_than(far));
  CHECK_FALSE(far.nearer_than(near));
  CHECK(near.nearer_than(other));
  CHECK_FALSE(near.nearer_than(near));
}

TEST_CASE("without a toolchain in the wanted record any toolchain is right") {
  KeyRecord wanted = parsed(record_text("op", "sm_90a"));
  std::erase_if(wanted.fields, [](const cache::RecordField& field) { return field.toolchain; });
  CHECK(compare(wanted, parsed(record_text("op", "sm_90a"))).different.empty());
}

}  // namespace fourge::tests
