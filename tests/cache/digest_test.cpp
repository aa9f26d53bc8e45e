#include "cache/digest.hpp"

#include <unordered_set>

#include "tests/cache/cache_support.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

using cache::Digest;
using cache::sha256;
using cache::Sha256;

// FIPS 180-2, appendix B.
TEST_CASE("SHA-256 gives the standard's digests") {
  CHECK(sha256("").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq").hex() ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST_CASE("SHA-256 in pieces equals SHA-256 at once, and a hasher can be used again") {
  Sha256 hasher;
  CHECK(hasher.update("a").update("").update(as_bytes("bc")).finish() == sha256("abc"));
  CHECK(hasher.finish() == sha256(""));
  CHECK(hasher.update("abc").finish() == sha256("abc"));
}

TEST_CASE("a digest's text parses back and nothing else does") {
  const Digest digest = sha256("abc");
  REQUIRE(Digest::from_hex(digest.hex()));
  CHECK(*Digest::from_hex(digest.hex()) == digest);
  CHECK_FALSE(Digest::from_hex(""));
  CHECK_FALSE(Digest::from_hex(digest.hex().substr(1)));
  CHECK_FALSE(Digest::from_hex(digest.hex() + "0"));
  std::string text = digest.hex();
  text[5] = 'A';
  CHECK_FALSE(Digest::from_hex(text));
  text[5] = 'g';
  CHECK_FALSE(Digest::from_hex(text));
}

TEST_CASE("digests are ordered as their text and can be hashed") {
  const Digest a = sha256("a");
  const Digest b = sha256("b");
  CHECK(a != b);
  CHECK((a < b) == (a.hex() < b.hex()));
  CHECK((b < a) == (b.hex() < a.hex()));
  const std::unordered_set<Digest> set{a, b, a};
  CHECK(set.size() == 2);
}

}  // namespace fourge::tests
