#include "runtime/tuning/tuning_record.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "cache/digest.hpp"
#include "cache/json_text.hpp"

namespace fourge {
namespace {

using Json = nlohmann::json;

constexpr int kTuningFormat = 1;

bool is_text(std::string_view text) {
  return !text.empty() && text.size() <= kTuningTextBytes &&
         std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

// What a record may not be; empty if it may.
std::string objection(const TuningRecord& record) {
  const std::array<std::pair<const char*, std::string_view>, 5> texts{
      {{"device", record.key.device},
       {"subject", record.key.subject},
       {"bucket", record.key.bucket},
       {"made_of", record.basis.made_of},
       {"choice", record.choice}}};
  for (const auto& [name, text] : texts) {
    if (!is_text(text)) {
      return fmt::format("\"{}\" must be one line of 1 to {} bytes", name, kTuningTextBytes);
    }
  }
  if (record.basis.multiprocessors <= 0) return "\"multiprocessors\" must be positive";
  if (!std::isfinite(record.microseconds) || record.microseconds < 0) {
    return "\"microseconds\" must be a number of at least 0";
  }
  return {};
}

Json to_json(const TuningRecord& record) {
  return {{"tuning", kTuningFormat},
          {"device", record.key.device},
          {"subject", record.key.subject},
          {"bucket", record.key.bucket},
          {"multiprocessors", record.basis.multiprocessors},
          {"made_of", record.basis.made_of},
          {"choice", record.choice},
          {"microseconds", record.microseconds}};
}

// So that no damage passes for another answer.
Json with_check(Json document) {
  document["check"] = cache::sha256(cache::json_text(document)).hex();
  return document;
}

// Throws Json::exception for a member that is missing or of another kind.
TuningRecord from_json(const Json& document) {
  const auto text = [&](const char* name) { return document.at(name).get<std::string>(); };
  const auto whole = [&](const char* name) {
    const Json& value = document.at(name);
    const bool fits =
        value.is_number_unsigned() &&
        value.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<int>::max());
    return fits ? value.get<int>() : -1;
  };
  TuningRecord record;
  if (whole("tuning") != kTuningFormat) {
    throw Error(ErrorKind::invalid_argument, fmt::format("it is not of format {}", kTuningFormat));
  }
  record.key = {text("device"), text("subject"), text("bucket")};
  record.basis = {whole("multiprocessors"), text("made_of")};
  record.choice = text("choice");
  record.microseconds = document.at("microseconds").get<double>();
  return record;
}

}  // namespace

std::string encode_tuning(const TuningRecord& record) {
  const std::string wrong = objection(record);
  if (!wrong.empty()) throw Error(ErrorKind::invalid_argument, "a tuning record: " + wrong);
  return cache::json_text(with_check(to_json(record)), 1) + '\n';
}

std::optional<TuningRecord> parse_tuning(std::string_view text, std::string* why) {
  std::string wrong;
  try {
    const Json document = cache::parse_json_text(text);
    TuningRecord record = from_json(document);
    wrong = objection(record);
    if (wrong.empty() && with_check(to_json(record)) != document) wrong = "it is damaged";
    if (wrong.empty()) return record;
  } catch (const Json::exception& error) {
    wrong = error.what();
  } catch (const Error& error) {
    wrong = error.what();
  }
  if (why != nullptr) *why = wrong;
  return std::nullopt;
}

}  // namespace fourge
