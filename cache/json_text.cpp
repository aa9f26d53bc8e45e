#include "cache/json_text.hpp"

namespace fourge::cache {

std::string json_text(const nlohmann::json& document, int indent) {
  return document.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

nlohmann::json parse_json_text(std::string_view text) {
  return nlohmann::json::parse(text.begin(), text.end());
}

}  // namespace fourge::cache
