#include "cache/entry.hpp"

#include <fourge/error.hpp>

#include "cache/byte_order.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

using cache::CacheKey;
using cache::encode_entry;
using cache::MissCause;
using cache::parse_entry;
using cache::ParseResult;

namespace {

constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kHeaderLengthAt = 12;
constexpr std::size_t kRecordLengthAt = 80;
constexpr std::size_t kRecordAt = 84;

ParseResult parse(const std::string& file, const CacheKey& key) {
  return parse_entry(as_bytes(file), &key);
}

template <typename T>
std::string with_integer(std::string file, std::size_t at, T value) {
  std::string bytes;
  cache::append_little_endian(bytes, value);
  return file.replace(at, bytes.size(), bytes);
}

}  // namespace

TEST_CASE("an entry comes back as it was written") {
  const CacheKey key = make_key("one");
  for (const std::size_t size : {0U, 1U, 5U, 100'000U}) {
    const auto payload = make_payload("payload", size);
    const ParseResult result = parse(encode_entry(key, payload), key);
    REQUIRE(result.entry);
    CHECK(result.entry->payload == payload);
    CHECK(result.entry->record == key.record);
    CHECK(result.entry->key_hex == key.full.hex());
    CHECK(result.entry->request_hex == key.request.hex());
    CHECK(result.entry->file_name() == key.file_name());
  }
}

// Computed from the grammar in cache/entry.hpp by an independent program; see the pinned key.
TEST_CASE("the bytes of a fixed entry are pinned") {
  const CacheKey key = cache::KeyBuilder()
                           .field("spec", "nvfp4_quantize[in=bf16]@sm_90a")
                           .field("source", "0123abcd")
                           .field("options", std::vector<std::string>{"-I", "-O2"})
                           .toolchain("nvrtc", "13.0 build 7")
                           .finish();
  const std::string file = encode_entry(key, as_bytes("cubin"));
  CHECK(cache::kEntryFormat == 1);
  CHECK(file.size() == 277);
  CHECK(cache::sha256(file).hex() ==
        "9b07c081fb08392dfb5348389f78f2e4e64686ead18ec0eca4089b766bd1b5b3");
}

TEST_CASE("an entry can be read without knowing its key") {
  const CacheKey key = make_key("one");
  const std::string file = encode_entry(key, as_bytes("cubin"));
  const ParseResult result = parse_entry(as_bytes(file), nullptr);
  REQUIRE(result.entry);
  CHECK(result.entry->key_hex == key.full.hex());
}

TEST_CASE("a flipped bit anywhere in an entry is detected") {
  const CacheKey key = make_key("one");
  const std::string good = encode_entry(key, make_payload("payload", 60));
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[at] = static_cast<char>(static_cast<unsigned char>(bad[at]) ^ (1U << bit));
      const ParseResult result = parse(bad, key);
      CAPTURE(at, bit, result.detail);
      REQUIRE_FALSE(result.entry);
      REQUIRE(result.cause == (at < kHeaderLengthAt ? MissCause::format : MissCause::corrupt));
      REQUIRE_FALSE(result.detail.empty());
    }
  }
}

TEST_CASE("an entry cut at any length is detected") {
  const CacheKey key = make_key("one");
  const std::string good = encode_entry(key, make_payload("payload", 60));
  for (std::size_t length = 0; length < good.size(); ++length) {
    // A copy of exactly this size, so that a read beyond it shows under a sanitizer.
    const std::vector<char> cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length));
    const ParseResult result = parse_entry(std::as_bytes(std::span(cut)), &key);
    CAPTURE(length);
    REQUIRE_FALSE(result.entry);
    REQUIRE(result.cause == MissCause::corrupt);
  }
}

TEST_CASE("bytes after an entry are detected") {
  const CacheKey key = make_key("one");
  const std::string good = encode_entry(key, as_bytes("cubin"));
  CHECK(parse(good + '\0', key).cause == MissCause::corrupt);
  CHECK_FALSE(parse(good + '\0', key).entry);
  CHECK_FALSE(parse(good + good, key).entry);
  CHECK_FALSE(parse(good + std::string(4096, 'x'), key).entry);
}

TEST_CASE("claimed lengths are never believed") {
  const CacheKey key = make_key("one");
  const std::string good = encode_entry(key, make_payload("payload", 60));
  const std::size_t payload_length_at = kRecordAt + key.record.size();
  for (const std::uint32_t length : {0U, 1U, 67U, 68U, 69U, 1U << 20U, (1U << 20U) + 1U,
                                     0x7fffffffU, 0x80000000U, 0xffffffc0U, 0xffffffffU}) {
    CAPTURE(length);
    CHECK(parse(with_integer(good, kHeaderLengthAt, length), key).cause == MissCause::corrupt);
    CHECK_FALSE(parse(with_integer(good, kHeaderLengthAt, length), key).entry);
    CHECK_FALSE(parse(with_integer(good, kRecordLengthAt, length), key).entry);
  }
  for (const std::uint64_t length :
       {0ULL, 59ULL, 61ULL, 1ULL << 32U, 1ULL << 63U, ~0ULL, ~0ULL - 39U}) {
    const ParseResult result = parse(with_integer(good, payload_length_at, length), key);
    CAPTURE(length);
    CHECK(result.cause == MissCause::corrupt);
    CHECK_FALSE(result.entry);
  }
}

TEST_CASE("what is no entry of this format version is told apart from a damaged one") {
  const CacheKey key = make_key("one");
  const std::string good = encode_entry(key, as_bytes("cubin"));
  CHECK(parse("\x7f"
              "ELF" +
                  std::string(200, '\0'),
              key)
            .cause == MissCause::format);
  CHECK(parse("x", key).cause == MissCause::format);
  const ParseResult newer = parse(with_integer(good, kVersionAt, cache::kEntryFormat + 1), key);
  CHECK(newer.cause == MissCause::format);
  CHECK(newer.detail.find("version 2") != std::string::npos);
  CHECK(parse(with_integer(good, kVersionAt, 0U), key).cause == MissCause::format);
}

TEST_CASE("an entry of another key is refused") {
  const CacheKey key = make_key("one");
  const CacheKey other = make_key("two");
  const ParseResult result = parse(encode_entry(other, as_bytes("cubin")), key);
  CHECK_FALSE(result.entry);
  CHECK(result.cause == MissCause::key);
  CHECK(result.detail.find(other.full.hex()) != std::string::npos);

  CacheKey mixed = key;  // the right compiler's digest with another request
  mixed.request = other.request;
  CHECK(parse(encode_entry(mixed, as_bytes("cubin")), key).cause == MissCause::key);
}

TEST_CASE("a key record that fits no header is refused when it is written") {
  CacheKey key = make_key("one");
  key.record.assign(cache::kMaximumHeaderBytes - 68, ' ');
  CHECK(parse(encode_entry(key, as_bytes("cubin")), key).entry);
  key.record += ' ';
  CHECK_THROWS_AS(encode_entry(key, as_bytes("cubin")), Error);
}

TEST_CASE("entry: its length is known before it is made") {
  for (const std::size_t bytes : {0U, 1U, 5000U}) {
    const auto payload = make_payload("a", bytes);
    CHECK(encode_entry(make_key("a"), payload).size() ==
          cache::encoded_entry_bytes(make_key("a"), bytes));
  }
}

}  // namespace fourge::tests
