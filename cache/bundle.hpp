// Many entries in one file. No other code than bundle_reader and bundle_writer reads or writes this
// format.
//
// Grammar (integers are little-endian, nothing is padded or aligned):
//
//   bundle    = header index signature entries
//   header    = magic version:u32 signature_length:u32 count:u64 entries_length:u64 digest
//   magic     = 8F 66 6F 75 72 67 65 0A                 "\x8f" "fourge\n"
//   digest    = SHA-256 of the header up to here, then of the index
//   index     = item*count                              strictly ascending by request, then full
//   item      = request:32 full:32 offset:u64 length:u64 entry_digest:32
//   signature = byte*signature_length                   0 or 64: Ed25519 of the signed text
//   signed    = "fourge bundle signature\n" digest
//   entries   = entry*count                             cache/entry.hpp; in the order of the index
//
// offset counts from the beginning of the file; the first entry lies right after the signature, each
// other one right after the one before, and the last one ends the file. entry_digest is the SHA-256 of
// the entry's bytes, so the signature covers the entries too. request and full are those of the entry.
// Nothing depends on times, on the machine or on the order in which entries were added: the same
// entries and the same key give the same file.
//
// Version history of kBundleFormat (the entries have their own version, kEntryFormat):
//   1  as above
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cache/digest.hpp"

namespace fourge::cache {

inline constexpr std::uint32_t kBundleFormat = 1;
inline constexpr std::string_view kBundleMagic{"\x8f\x66ourge\n", 8};
inline constexpr std::string_view kBundleSuffix = ".fourge";
inline constexpr std::string_view kBundleSignedPrefix = "fourge bundle signature\n";
inline constexpr std::size_t kBundleHeaderBytes = 64;
inline constexpr std::size_t kBundleItemBytes = 112;
// More is no bundle of ours; its index would be too large to be kept in memory.
inline constexpr std::uint64_t kMaximumBundleEntries = 1U << 20U;

struct BundleItem {
  Digest request;
  Digest full;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // bytes
  Digest digest;             // of the entry's bytes
};

}  // namespace fourge::cache
