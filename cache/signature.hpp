// Ed25519 signatures of bundles. Keys are PEM: PKCS #8 for the private one, SubjectPublicKeyInfo for
// the public one, as openssl writes them.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct evp_pkey_st;

namespace fourge::cache {

inline constexpr std::size_t kSignatureBytes = 64;

using Signature = std::array<std::byte, kSignatureBytes>;

namespace detail {
struct FreeKey {
  void operator()(evp_pkey_st* key) const noexcept;
};
using KeyHandle = std::unique_ptr<evp_pkey_st, FreeKey>;
}  // namespace detail

// Immutable; one object may be used by several threads.
class PrivateKey {
 public:
  // A new one. Throws Error(internal) if libcrypto gives none.
  static PrivateKey generate();
  // Throws Error(invalid_argument) unless the text is the PEM of an Ed25519 private key without a
  // pass phrase.
  static PrivateKey from_pem(std::string_view text);

  std::string pem() const;
  std::string public_pem() const;
  Signature sign(std::span<const std::byte> message) const;

 private:
  explicit PrivateKey(detail::KeyHandle key) : key_(std::move(key)) {}

  detail::KeyHandle key_;
};

// Immutable; one object may be used by several threads.
class PublicKey {
 public:
  // Throws Error(invalid_argument) unless the text is the PEM of an Ed25519 public key.
  static PublicKey from_pem(std::string_view text);

  // False for any signature but the key's own of this message.
  bool verifies(std::span<const std::byte> message, const Signature& signature) const;

 private:
  explicit PublicKey(detail::KeyHandle key) : key_(std::move(key)) {}

  detail::KeyHandle key_;
};

// PEM as an option or a command line gives it: the text itself if it begins with "-----BEGIN", else
// the contents of the file of that name. Throws Error(io) if that cannot be read, and
// Error(invalid_argument) if it is larger than any key.
std::string load_pem(const std::string& text_or_path);

}  // namespace fourge::cache
