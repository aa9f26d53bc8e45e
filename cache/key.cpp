#include "cache/key.hpp"

#include <algorithm>
#include <fourge/error.hpp>
#include <nlohmann/json.hpp>

#include "cache/byte_order.hpp"

namespace fourge::cache {

namespace {

constexpr std::string_view kPreamble = "fourge key";
constexpr std::string_view kSuffix = ".fourge";
constexpr std::size_t kRequestDigits = 16;
constexpr std::size_t kFullDigits = 2 * Digest::kBytes;

void append_text(std::string& stream, std::string_view text) {
  append_little_endian<std::uint64_t>(stream, text.size());
  stream += text;
}

}  // namespace

std::string CacheKey::file_name() const {
  std::string name = request.hex().substr(0, kRequestDigits);
  name += '-';
  name += full.hex();
  name += kSuffix;
  return name;
}

std::string CacheKey::shard() const { return request.hex().substr(0, 2); }

std::string CacheKey::directory() const {
  const std::string digits = request.hex();
  return digits.substr(0, 2) + '/' + digits.substr(2, 2);
}

bool is_entry_file_name(std::string_view name) noexcept {
  return name.size() == kRequestDigits + 1 + kFullDigits + kSuffix.size() &&
         is_lower_hex(name.substr(0, kRequestDigits)) && name[kRequestDigits] == '-' &&
         is_lower_hex(name.substr(kRequestDigits + 1, kFullDigits)) && name.ends_with(kSuffix);
}

KeyBuilder& KeyBuilder::field(std::string_view tag, std::string_view value) {
  require_new_tag(tag);
  request_.push_back({std::string(tag), false, {std::string(value)}});
  return *this;
}

KeyBuilder& KeyBuilder::field(std::string_view tag, std::vector<std::string> list) {
  require_new_tag(tag);
  request_.push_back({std::string(tag), true, std::move(list)});
  return *this;
}

KeyBuilder& KeyBuilder::toolchain(std::string_view tag, std::string_view value) {
  require_new_tag(tag);
  toolchain_.push_back({std::string(tag), false, {std::string(value)}});
  return *this;
}

void KeyBuilder::require_new_tag(std::string_view tag) const {
  if (tag.empty()) {
    throw Error(ErrorKind::internal, "cache key: a field has an empty tag; give it a name");
  }
  const auto same = [tag](const Field& field) { return field.tag == tag; };
  if (std::any_of(request_.begin(), request_.end(), same) ||
      std::any_of(toolchain_.begin(), toolchain_.end(), same)) {
    throw Error(ErrorKind::internal, "cache key: the field '" + std::string(tag) +
                                         "' is given twice; use one list or another tag");
  }
}

void KeyBuilder::append_section(std::string& stream, unsigned char number,
                                const std::vector<Field>& fields) {
  stream += static_cast<char>(number);
  append_little_endian<std::uint64_t>(stream, fields.size());
  for (const Field& field : fields) {
    stream += field.is_list ? '\2' : '\1';
    append_text(stream, field.tag);
    if (field.is_list) append_little_endian<std::uint64_t>(stream, field.values.size());
    for (const std::string& value : field.values) append_text(stream, value);
  }
}

std::string KeyBuilder::make_record() const {
  using Json = nlohmann::ordered_json;
  const auto section = [](const std::vector<Field>& fields) {
    Json json = Json::object();
    for (const Field& field : fields) {
      if (field.is_list) {
        json[field.tag] = field.values;
      } else {
        json[field.tag] = field.values.front();
      }
    }
    return json;
  };
  Json record = Json::object();
  record["key_format"] = kKeyFormat;
  record["request"] = section(request_);
  record["toolchain"] = section(toolchain_);
  return record.dump(-1, ' ', false, Json::error_handler_t::replace);
}

CacheKey KeyBuilder::finish() const {
  std::string stream(kPreamble);
  append_little_endian<std::uint32_t>(stream, kKeyFormat);
  append_section(stream, 1, request_);
  CacheKey key;
  key.request = sha256(stream);
  append_section(stream, 2, toolchain_);
  key.full = sha256(stream);
  key.record = make_record();
  return key;
}

}  // namespace fourge::cache
