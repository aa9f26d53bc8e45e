#include "cache/signature.hpp"

#include <fourge/error.hpp>

#include "tests/cache/cache_support.hpp"
#include "tests/support/catch.hpp"

using namespace fourge;
using namespace fourge::cache;
using namespace fourge::tests;

namespace {

// RFC 8410, section 10.
constexpr const char* kPublicPem =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
    "-----END PUBLIC KEY-----\n";
constexpr const char* kPrivatePem =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
    "-----END PRIVATE KEY-----\n";

template <class Call>
std::string refusal(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK((error.kind() == ErrorKind::invalid_argument || error.kind() == ErrorKind::io));
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("signature: the public key of RFC 8410's example") {
  CHECK(PrivateKey::from_pem(kPrivatePem).public_pem() == kPublicPem);
  CHECK(PrivateKey::from_pem(kPrivatePem).pem() == kPrivatePem);
}

TEST_CASE("signature: only the same message, signature and key verify") {
  const PrivateKey key = PrivateKey::generate();
  const PublicKey known = PublicKey::from_pem(key.public_pem());
  const Signature signature = key.sign(as_bytes("message"));
  CHECK(known.verifies(as_bytes("message"), signature));
  CHECK_FALSE(known.verifies(as_bytes("messagf"), signature));
  CHECK_FALSE(known.verifies(as_bytes(""), signature));
  for (std::size_t i = 0; i < signature.size(); ++i) {
    Signature other = signature;
    other.at(i) ^= std::byte{1};
    CHECK_FALSE(known.verifies(as_bytes("message"), other));
  }
  const PrivateKey stranger = PrivateKey::generate();
  CHECK_FALSE(known.verifies(as_bytes("message"), stranger.sign(as_bytes("message"))));
  // Ed25519 is deterministic: bundles are reproducible with their signatures.
  CHECK(PrivateKey::from_pem(key.pem()).sign(as_bytes("message")) == signature);
}

TEST_CASE("signature: what is no Ed25519 key is refused") {
  CHECK(refusal([] { PublicKey::from_pem(""); }).find("Ed25519 public") != std::string::npos);
  CHECK_FALSE(refusal([] { PublicKey::from_pem(kPrivatePem); }).empty());
  CHECK_FALSE(refusal([] { PrivateKey::from_pem(kPublicPem); }).empty());
  CHECK_FALSE(refusal([] { PrivateKey::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n"); }).empty());
  // An X25519 key has the same size and the same framing.
  CHECK_FALSE(refusal([] {
                PublicKey::from_pem(
                    "-----BEGIN PUBLIC KEY-----\n"
                    "MCowBQYDK2VuAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
                    "-----END PUBLIC KEY-----\n");
              }).empty());
}

TEST_CASE("signature: PEM from a text or a file") {
  const TemporaryDirectory directory;
  CHECK(load_pem(kPublicPem) == kPublicPem);
  write_all(directory / "key.pem", kPublicPem);
  CHECK(load_pem(directory / "key.pem") == kPublicPem);
  const std::string missing = directory / "missing.pem";
  CHECK(refusal([&] { load_pem(missing); }).find(missing) != std::string::npos);
  CHECK_FALSE(refusal([&] { load_pem(directory.path()); }).empty());
  write_all(directory / "empty.pem", "");
  CHECK_FALSE(refusal([&] { load_pem(directory / "empty.pem"); }).empty());
  write_all(directory / "large.pem", std::string(1U << 20U, 'x'));
  CHECK_FALSE(refusal([&] { load_pem(directory / "large.pem"); }).empty());
}
