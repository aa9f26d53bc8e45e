// The parser of key records. What it accepts, a KeyBuilder can write: the fields come back the same.
#include <algorithm>

#include "cache/key_record.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace fourge;

cache::KeyRecord rebuilt(const cache::KeyRecord& record) {
  cache::KeyBuilder builder;
  for (const cache::RecordField& field : record.fields) {
    if (field.toolchain) {
      builder.toolchain(field.tag, field.values.front());
    } else if (field.is_list) {
      builder.field(field.tag, field.values);
    } else {
      builder.field(field.tag, field.values.front());
    }
  }
  const auto parsed = cache::parse_key_record(builder.finish().record);
  fuzz::require(parsed.record.has_value(), "what a builder writes is accepted");
  return *parsed.record;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto parsed = cache::parse_key_record(fuzz::text_of(data, size));
  if (!parsed.record) {
    fuzz::require(!parsed.detail.empty(), "a refusal has a reason");
    return 0;
  }
  const cache::KeyRecord& record = *parsed.record;
  fuzz::require(compare(record, record).different.empty(), "a record is equal to itself");
  static_cast<void>(record.spec_text());
  const bool toolchain_list = std::ranges::any_of(
      record.fields, [](const cache::RecordField& f) { return f.toolchain && f.is_list; });
  if (toolchain_list) return 0;  // a builder has no list there
  const cache::KeyRecord again = rebuilt(record);
  for (const cache::RecordField& field : record.fields) {
    const cache::RecordField* same = again.find(field.tag);
    fuzz::require(same != nullptr && *same == field, "every field comes back");
  }
  fuzz::require(again.fields.size() == record.fields.size(), "and no other");
  return 0;
}
