// The parser of cache entries. A digest stops nearly everything, so each input is also parsed with
// its digest made right, as a forger would.
#include <algorithm>
#include <cstring>
#include <vector>

#include "cache/byte_order.hpp"
#include "cache/digest.hpp"
#include "cache/entry.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace fourge;
using Bytes = std::span<const std::byte>;

constexpr std::size_t kHeaderAt = 16;

// Only one string of bytes stands for an entry: what was accepted is what encoding gives back.
void check(Bytes file) {
  const cache::ParseResult result = cache::parse_entry(file, nullptr);
  if (!result.entry) {
    fuzz::require(!result.detail.empty(), "a refusal has a reason");
    return;
  }
  const auto request = cache::Digest::from_hex(result.entry->request_hex);
  const auto full = cache::Digest::from_hex(result.entry->key_hex);
  fuzz::require(request && full, "the digests of an entry are digests");
  cache::CacheKey key{*request, *full, result.entry->record};
  const std::string again = cache::encode_entry(key, result.entry->payload);
  fuzz::require(std::ranges::equal(std::as_bytes(std::span(again)), file),
                "an accepted entry is encoded to the same bytes");
  fuzz::require(cache::parse_entry(file, &key).entry.has_value(), "an entry is that of its key");
  key.full.bytes[0] ^= std::byte{1};
  fuzz::require(cache::parse_entry(file, &key).cause == cache::MissCause::key,
                "an entry is of no other key");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes file = fuzz::bytes_of(data, size);
  check(file);
  if (size < kHeaderAt) return 0;
  std::uint32_t header_bytes = 0;
  std::memcpy(&header_bytes, data + 12, sizeof(header_bytes));
  const std::size_t digest_at = kHeaderAt + std::size_t{header_bytes} + sizeof(std::uint64_t);
  if (digest_at + cache::Digest::kBytes > size) return 0;
  std::vector<std::byte> forged(file.begin(), file.end());
  const std::size_t payload_at = digest_at + cache::Digest::kBytes;
  // The length too: it is the other thing that a mutation hardly ever gets right.
  const std::uint64_t length = size - payload_at;
  std::memcpy(forged.data() + digest_at - sizeof(length), &length, sizeof(length));
  const cache::Digest digest = cache::Sha256()
                                   .update(Bytes(forged).first(digest_at))
                                   .update(Bytes(forged).subspan(payload_at))
                                   .finish();
  std::ranges::copy(digest.bytes, forged.begin() + static_cast<std::ptrdiff_t>(digest_at));
  check(forged);
  return 0;
}
