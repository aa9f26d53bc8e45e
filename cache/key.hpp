// What names an entry: a digest over all that decides the bytes of the compiled kernel.
//
// Two digests: `request` covers what was asked (spec, target, source, options), `full` covers that
// and who compiled it. A process without a compiler knows the request only; the file name begins
// with it, so that such a process can still find what others compiled.
//
// Digested bytes (all integers little-endian; nothing is separated by content, so no two different
// lists of fields give the same bytes):
//
//   request   = SHA-256( "fourge key" u32:kKeyFormat section(1) )
//   full      = SHA-256( "fourge key" u32:kKeyFormat section(1) section(2) )
//   section   = u8:number u64:count field*count         1: request fields, 2: toolchain fields
//   field     = u8:1 text:tag text:value                one value
//             | u8:2 text:tag u64:count text*count      a list of values
//   text      = u64:length byte*length
//
// Version history of kKeyFormat:
//   1  as above
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cache/digest.hpp"

namespace fourge::cache {

inline constexpr std::uint32_t kKeyFormat = 1;

struct CacheKey {
  Digest request;
  Digest full;
  // {"key_format":1,"request":{tag:value or [values],...},"toolchain":{...}}, in the order given,
  // without spaces. For people and for `explain`; the digests decide. Bytes that are not UTF-8
  // appear as U+FFFD.
  std::string record;

  // 16 digits of the request, '-', all 64 of the full digest, ".fourge".
  std::string file_name() const;
  // A 256th of the store: the first two digits of the request.
  std::string shard() const;
  // The directory of the file, a 65536th of the store: the shard, '/', the next two digits.
  std::string directory() const;
};

// True for what file_name() can return.
bool is_entry_file_name(std::string_view name) noexcept;

// Collects fields; their order counts. A tag may be used once; an empty or repeated one throws
// Error(internal). Values are content, never paths or times: keys must not depend on where things
// lie.
class KeyBuilder {
 public:
  // Part of what was asked.
  KeyBuilder& field(std::string_view tag, std::string_view value);
  KeyBuilder& field(std::string_view tag, std::vector<std::string> list);
  // Identity of the compiler.
  KeyBuilder& toolchain(std::string_view tag, std::string_view value);

  CacheKey finish() const;

 private:
  struct Field {
    std::string tag;
    bool is_list;
    std::vector<std::string> values;  // exactly one unless is_list
  };

  void require_new_tag(std::string_view tag) const;
  static void append_section(std::string& stream, unsigned char number,
                             const std::vector<Field>& fields);
  std::string make_record() const;

  std::vector<Field> request_;
  std::vector<Field> toolchain_;
};

}  // namespace fourge::cache
