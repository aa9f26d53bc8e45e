// One cache entry as bytes. No other code reads or writes this format.
//
// Grammar (integers are little-endian, nothing is padded or aligned):
//
//   entry    = magic version:u32 header_length:u32 header payload_length:u64 digest payload
//   magic    = 8E 66 6F 75 72 67 65 0A                  "\x8efourge\n"
//   header   = request:32 full:32 record_length:u32 record
//   request  = digest of what was asked                 CacheKey::request
//   full     = digest that names the entry              CacheKey::full
//   record   = byte*record_length                       CacheKey::record, JSON; not interpreted
//   digest   = SHA-256 of all bytes before it, then of the payload
//   payload  = byte*payload_length                      to the end of the file
//
// header_length counts the header only (68 + record_length) and is at most kMaximumHeaderBytes.
// Every byte is covered: a flipped byte, a cut and an appended byte are all detected.
//
// Version history of kEntryFormat (a new one needs a new kStoreLayout, too: cache/store_layout.hpp):
//   1  as above
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/key.hpp"

namespace fourge::cache {

inline constexpr std::uint32_t kEntryFormat = 1;
inline constexpr std::size_t kMaximumHeaderBytes = 1U << 20U;

// Why a look-up gave nothing.
enum class MissCause {
  absent,      // no such entry
  format,      // not an entry, or one of another format version
  key,         // a whole entry, but of another key
  corrupt,     // a length or the digest is wrong
  unreadable,  // the file could not be read, or is no regular file
  untrusted,   // owner, mode or signature
  disabled,    // there is no store
};

const char* to_string(MissCause cause) noexcept;

struct Entry {
  std::string request_hex;
  std::string key_hex;  // CacheKey::full
  std::string record;
  std::vector<std::byte> payload;

  // The name that a file with this entry must have.
  std::string file_name() const;
};

struct ParseResult {
  std::optional<Entry> entry;
  MissCause cause = MissCause::corrupt;  // these two: why there is no entry
  std::string detail;
};

// Throws Error(internal) if the key's record is too long for a header.
std::string encode_entry(const CacheKey& key, std::span<const std::byte> payload);

// The length of encode_entry()'s result.
std::uint64_t encoded_entry_bytes(const CacheKey& key, std::size_t payload_bytes) noexcept;

// Any bytes may be given. With a key, the entry must be the one of that key. Allocates only for a
// whole entry, and no more than the file's own size.
ParseResult parse_entry(std::span<const std::byte> file, const CacheKey* expected);

}  // namespace fourge::cache
