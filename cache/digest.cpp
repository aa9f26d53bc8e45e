#include "cache/digest.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <fourge/error.hpp>

namespace fourge::cache {

namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

void require(int status, const char* call) {
  if (status != 1) {
    throw Error(ErrorKind::internal, std::string("SHA-256: libcrypto's ") + call + " failed");
  }
}

}  // namespace

std::string Digest::hex() const {
  std::string text;
  text.reserve(2 * kBytes);
  for (const std::byte byte : bytes) {
    const auto value = std::to_integer<unsigned>(byte);
    text += kHexDigits[value >> 4U];
    text += kHexDigits[value & 15U];
  }
  return text;
}

std::optional<Digest> Digest::from_hex(std::string_view text) {
  if (text.size() != 2 * kBytes || !is_lower_hex(text)) return std::nullopt;
  Digest digest;
  for (std::size_t i = 0; i < kBytes; ++i) {
    const std::size_t high = kHexDigits.find(text[2 * i]);
    const std::size_t low = kHexDigits.find(text[2 * i + 1]);
    digest.bytes[i] = static_cast<std::byte>(high * 16 + low);
  }
  return digest;
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_) throw Error(ErrorKind::internal, "SHA-256: libcrypto gives no digest context");
  begin();
}

Sha256::~Sha256() = default;

void Sha256::Free::operator()(evp_md_ctx_st* context) const noexcept { EVP_MD_CTX_free(context); }

void Sha256::begin() {
  require(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr), "EVP_DigestInit_ex");
}

Sha256& Sha256::update(std::span<const std::byte> data) {
  require(EVP_DigestUpdate(context_.get(), data.data(), data.size()), "EVP_DigestUpdate");
  return *this;
}

Sha256& Sha256::update(std::string_view text) {
  return update(std::as_bytes(std::span<const char>(text.data(), text.size())));
}

Digest Sha256::finish() {
  Digest digest;
  require(EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.bytes.data()),
                             nullptr),
          "EVP_DigestFinal_ex");
  begin();
  return digest;
}

Digest sha256(std::span<const std::byte> data) { return Sha256().update(data).finish(); }

Digest sha256(std::string_view text) { return Sha256().update(text).finish(); }

bool is_lower_hex(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return kHexDigits.find(c) != std::string_view::npos; });
}

}  // namespace fourge::cache
