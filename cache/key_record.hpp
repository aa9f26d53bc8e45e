// A key record (CacheKey::record) read back: the fields that made a key, in clear. For explaining
// and listing; the digests alone decide what is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/key.hpp"

namespace fourge::cache {

// As much as an entry can hold.
inline constexpr std::size_t kMaximumRecordBytes = 1U << 20U;

struct RecordField {
  std::string tag;
  bool toolchain = false;  // else of the request
  bool is_list = false;
  std::vector<std::string> values;  // exactly one unless is_list

  friend bool operator==(const RecordField&, const RecordField&) = default;
};

struct KeyRecord {
  std::uint64_t key_format = 0;
  std::vector<RecordField> fields;  // in the record's order; tags differ

  // nullptr if there is none.
  const RecordField* find(std::string_view tag) const noexcept;
  // The value of a field that is one; empty if there is none.
  std::string_view value(std::string_view tag) const noexcept;
  // "OP[AXES]@TARGET" from the fields of those names; empty if there is no spec.
  std::string spec_text() const;
};

struct RecordResult {
  std::optional<KeyRecord> record;
  std::string detail;  // if there is no record: what is wrong
};

// Any bytes may be given. Anything that a KeyBuilder does not write is refused: an unknown member, a
// tag twice, another type, a text that is too long.
RecordResult parse_key_record(std::string_view text);

// A field that two records do not share, or in which they differ. At least one is set.
struct RecordDifference {
  std::string tag;
  std::optional<RecordField> wanted;
  std::optional<RecordField> found;
};

struct RecordComparison {
  std::size_t equal = 0;  // fields
  // Of the fields that differ, how much of them is the same: list elements and axis values. It decides
  // between records with as many equal fields.
  std::size_t equal_parts = 0;
  std::vector<RecordDifference> different;  // in the order of the wanted record, then of the other

  bool nearer_than(const RecordComparison& other) const noexcept;
};

// Without the toolchain's fields if the wanted record has none: a process without a compiler takes
// whatever another one made.
RecordComparison compare(const KeyRecord& wanted, const KeyRecord& found);

}  // namespace fourge::cache
