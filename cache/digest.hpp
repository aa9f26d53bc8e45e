// SHA-256 digests.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct SHA256state_st;

namespace fourge::cache {

struct Digest {
  static constexpr std::size_t kBytes = 32;

  std::array<std::byte, kBytes> bytes{};

  // 64 lower-case digits.
  std::string hex() const;
  // nullopt unless the text is 64 lower-case hexadecimal digits.
  static std::optional<Digest> from_hex(std::string_view text);

  friend auto operator<=>(const Digest&, const Digest&) = default;
};

// One message at a time; not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  Sha256& update(std::span<const std::byte> data);
  Sha256& update(std::string_view text);
  // The digest of everything since construction or the last finish(); the next update() begins a
  // new message.
  Digest finish();

 private:
  void begin() noexcept;

  std::unique_ptr<SHA256state_st> state_;
};

Digest sha256(std::span<const std::byte> data);
Digest sha256(std::string_view text);

bool is_lower_hex(std::string_view text) noexcept;

}  // namespace fourge::cache

template <>
struct std::hash<fourge::cache::Digest> {
  std::size_t operator()(const fourge::cache::Digest& digest) const noexcept {
    std::size_t value = 0;  // any bytes of a digest are as good as a hash of all
    std::memcpy(&value, digest.bytes.data(), sizeof value);
    return value;
  }
};
