#include "cache/key_record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace fourge::cache {

namespace {

using Json = nlohmann::json;

// Takes the record as it is read, so that no document is built of what may be anything. Every event
// that does not belong where it comes ends the reading.
class RecordHandler final : public nlohmann::json_sax<Json> {
 public:
  RecordResult result() && {
    if (!complete_) return {std::nullopt, detail_.empty() ? "it is not complete" : detail_};
    return {std::move(record_), {}};
  }

  bool null() override { return misplaced("null"); }
  bool boolean(bool /*value*/) override { return misplaced("a truth value"); }
  bool number_integer(number_integer_t /*value*/) override { return misplaced("a number"); }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override {
    return misplaced("a number");
  }
  bool binary(binary_t& /*value*/) override { return misplaced("bytes"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (state_ != State::record || member_ != "key_format") return misplaced("a number");
    record_.key_format = value;
    member_.clear();
    return true;
  }

  bool string(string_t& value) override {
    if (state_ == State::list) {
      record_.fields.back().values.push_back(std::move(value));
      return true;
    }
    if (state_ != State::section) return misplaced("a text");
    return add_field(false) && (record_.fields.back().values.push_back(std::move(value)), true);
  }

  bool start_object(std::size_t /*elements*/) override {
    if (state_ == State::outside) {
      state_ = State::record;
      return true;
    }
    if (state_ != State::record || member_.empty() || member_ == "key_format") {
      return misplaced("an object");
    }
    toolchain_ = member_ == "toolchain";
    state_ = State::section;
    return true;
  }

  bool key(string_t& name) override {
    if (state_ == State::section) {
      member_ = std::move(name);
      return !member_.empty() || fail("a field has an empty tag");
    }
    const auto known = std::find(members_.begin(), members_.end(), name);
    if (known == members_.end()) {
      return fail(fmt::format("the member \"{:.64}\" is unknown or there twice", name));
    }
    members_.erase(known);
    member_ = std::move(name);
    return true;
  }

  bool end_object() override {
    complete_ = state_ == State::record && members_.empty();
    if (state_ == State::record && !complete_) {
      return fail(fmt::format("the member \"{}\" is missing", members_.front()));
    }
    state_ = state_ == State::section ? State::record : State::outside;
    member_.clear();
    return true;
  }

  bool start_array(std::size_t /*elements*/) override {
    if (state_ != State::section) return misplaced("a list");
    state_ = State::list;
    return add_field(true);
  }

  bool end_array() override {
    state_ = State::section;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const Json::exception& /*error*/) override {
    complete_ = false;
    return fail(fmt::format("it is no JSON at byte {}", position));
  }

 private:
  enum class State { outside, record, section, list };

  bool fail(std::string detail) {
    complete_ = false;
    detail_ = std::move(detail);
    return false;
  }

  bool misplaced(const char* what) {
    return fail(member_.empty() ? fmt::format("{} is out of place", what)
                                : fmt::format("{} is out of place at \"{:.64}\"", what, member_));
  }

  bool add_field(bool is_list) {
    if (record_.find(member_) != nullptr) {
      return fail(fmt::format("the field \"{:.64}\" is there twice", member_));
    }
    record_.fields.push_back({std::move(member_), toolchain_, is_list, {}});
    member_.clear();
    // Ours have five; looking each tag up among very many would take long.
    return record_.fields.size() <= kMaximumFields || fail("it has too many fields");
  }

  static constexpr std::size_t kMaximumFields = 256;

  State state_ = State::outside;
  std::vector<std::string> members_{"key_format", "request", "toolchain"};  // not yet seen
  std::string member_;  // whose value comes next
  bool toolchain_ = false;
  bool complete_ = false;
  KeyRecord record_;
  std::string detail_;
};

std::vector<std::string_view> parts_of(std::string_view value) {
  std::vector<std::string_view> parts;
  while (!value.empty()) {
    const std::size_t end = value.find_first_of("[],");
    if (end != 0) parts.push_back(value.substr(0, end));
    value = end == std::string_view::npos ? std::string_view() : value.substr(end + 1);
  }
  return parts;
}

std::size_t count_equal_parts(const RecordField& a, const RecordField& b) {
  const auto parts = [](const RecordField& field) {
    std::vector<std::string_view> all{field.values.begin(), field.values.end()};
    if (!field.is_list) all = parts_of(field.values.front());
    std::sort(all.begin(), all.end());
    return all;
  };
  const auto of_a = parts(a);
  const auto of_b = parts(b);
  std::vector<std::string_view> common;
  std::set_intersection(of_a.begin(), of_a.end(), of_b.begin(), of_b.end(),
                        std::back_inserter(common));
  return common.size();
}

}  // namespace

const RecordField* KeyRecord::find(std::string_view tag) const noexcept {
  const auto found = std::find_if(fields.begin(), fields.end(),
                                  [tag](const RecordField& field) { return field.tag == tag; });
  return found == fields.end() ? nullptr : &*found;
}

std::string_view KeyRecord::value(std::string_view tag) const noexcept {
  const RecordField* field = find(tag);
  return field == nullptr || field->is_list ? std::string_view()
                                            : std::string_view(field->values.front());
}

std::string KeyRecord::spec_text() const {
  const std::string_view spec = value("spec");
  const std::string_view target = value("target");
  if (spec.empty() || target.empty()) return std::string(spec);
  return fmt::format("{}@{}", spec, target);
}

RecordResult parse_key_record(std::string_view text) {
  if (text.size() > kMaximumRecordBytes) {
    return {std::nullopt, fmt::format("it has {} bytes, more than any key record", text.size())};
  }
  RecordHandler handler;
  // What it returns, the handler knows better: at its end the record is complete or it is not.
  static_cast<void>(Json::sax_parse(text, &handler));
  return std::move(handler).result();
}

bool RecordComparison::nearer_than(const RecordComparison& other) const noexcept {
  return equal != other.equal ? equal > other.equal : equal_parts > other.equal_parts;
}

RecordComparison compare(const KeyRecord& wanted, const KeyRecord& found) {
  RecordComparison comparison;
  if (wanted.key_format != found.key_format) {
    const auto version = [](const KeyRecord& record) {
      return RecordField{"key_format", false, false, {std::to_string(record.key_format)}};
    };
    comparison.different.push_back({"key_format", version(wanted), version(found)});
  }
  for (const RecordField& field : wanted.fields) {
    const RecordField* other = found.find(field.tag);
    if (other != nullptr && *other == field) {
      ++comparison.equal;
      continue;
    }
    if (other != nullptr) comparison.equal_parts += count_equal_parts(field, *other);
    comparison.different.push_back(
        {field.tag, field, other == nullptr ? std::nullopt : std::optional(*other)});
  }
  const bool any_toolchain = std::none_of(wanted.fields.begin(), wanted.fields.end(),
                                          [](const RecordField& field) { return field.toolchain; });
  for (const RecordField& field : found.fields) {
    if (wanted.find(field.tag) == nullptr && !(any_toolchain && field.toolchain)) {
      comparison.different.push_back({field.tag, std::nullopt, field});
    }
  }
  return comparison;
}

}  // namespace fourge::cache
