#include "runtime/worker/worker_protocol.hpp"

#include <array>
#include <string_view>

#include "cache/json_text.hpp"

namespace fourge::worker {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kDigits = "0123456789abcdef";

std::string hex_of(const std::vector<std::byte>& bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte byte : bytes) {
    text += kDigits[std::to_integer<std::size_t>(byte >> 4)];
    text += kDigits[std::to_integer<std::size_t>(byte & std::byte{15})];
  }
  return text;
}

// Nothing if the text is none.
std::optional<std::vector<std::byte>> bytes_of(std::string_view text) {
  std::vector<std::byte> bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    const std::size_t high = kDigits.find(text[i]);
    const std::size_t low = kDigits.find(text[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) {
      return std::nullopt;
    }
    bytes.push_back(static_cast<std::byte>(high << 4U | low));
  }
  return text.size() % 2 == 0 ? std::optional(std::move(bytes)) : std::nullopt;
}

WorkerAnswer decoded(const Json& document) {
  WorkerAnswer answer;
  answer.ok = document.at("ok").get<bool>();
  if (!answer.ok) {
    answer.error_kind = document.at("kind").get<std::string>();
    answer.message = document.at("message").get<std::string>();
    answer.log = document.at("log").get<std::string>();
    answer.source_path = document.at("source").get<std::string>();
    return answer;
  }
  for (const Origin origin : {Origin::disk, Origin::compiled}) {
    if (document.at("origin").get<std::string>() == to_string(origin)) {
      answer.origin = origin;
    }
  }
  answer.milliseconds = document.at("ms").get<double>();
  answer.kept = document.at("kept").get<bool>();
  answer.key = document.at("key").get<std::string>();
  return answer;
}

}  // namespace

std::string encode(const WorkerAnswer& answer) {
  Json document{{"ok", answer.ok}};
  if (answer.ok) {
    document["origin"] = to_string(answer.origin);
    document["ms"] = answer.milliseconds;
    document["kept"] = answer.kept;
    document["key"] = answer.key;
    document["cubin"] = hex_of(answer.cubin);
  } else {
    document["kind"] = answer.error_kind;
    document["message"] = answer.message;
    document["log"] = answer.log;
    document["source"] = answer.source_path;
  }
  return cache::json_text(document);
}

std::optional<WorkerAnswer> decode(const std::string& line) {
  try {
    const Json document = cache::parse_json_text(line);
    WorkerAnswer answer = decoded(document);
    if (answer.ok) {
      auto cubin = bytes_of(document.at("cubin").get_ref<const std::string&>());
      if (!cubin) {
        return std::nullopt;
      }
      answer.cubin = std::move(*cubin);
    }
    return answer;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace fourge::worker
