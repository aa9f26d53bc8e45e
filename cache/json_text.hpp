// JSON documents as text, in one place: the parser and the writer are the part of the library's header that takes a
// compiler seconds in each source that uses them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace fourge::cache {

// Bytes that are no UTF-8 become U+FFFD. indent < 0: in one line.
std::string json_text(const nlohmann::json& document, int indent = -1);

// Throws nlohmann::json::exception for what is not JSON.
nlohmann::json parse_json_text(std::string_view text);

}  // namespace fourge::cache
