#include "cache/digest.hpp"

// libcrypto's plain functions, which are marked as old: its newer ones first read its configuration and look for
// providers of the algorithm, which costs a fresh process more than everything else on its way to a cached kernel.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <algorithm>

namespace fourge::cache {

namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

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

Sha256::Sha256() : state_(std::make_unique<SHA256state_st>()) { begin(); }

Sha256::~Sha256() = default;

// None of the three can fail.
void Sha256::begin() noexcept { SHA256_Init(state_.get()); }

Sha256& Sha256::update(std::span<const std::byte> data) {
  SHA256_Update(state_.get(), data.data(), data.size());
  return *this;
}

Sha256& Sha256::update(std::string_view text) {
  return update(std::as_bytes(std::span<const char>(text.data(), text.size())));
}

Digest Sha256::finish() {
  Digest digest;
  SHA256_Final(reinterpret_cast<unsigned char*>(digest.bytes.data()), state_.get());
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
