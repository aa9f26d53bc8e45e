// JSON as a tree that knows on which line each value stands, for messages.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace fourge {

struct JsonNode {
  struct Member;
  enum class Kind { null, boolean, number, string, array, object };
  Kind kind = Kind::null;
  std::size_t line = 0;
  bool boolean = false;
  double number = 0;
  std::string text;             // of a string
  std::vector<JsonNode> items;  // of an array
  std::vector<Member> members;  // of an object, in the text's order

  const JsonNode* find(std::string_view name) const noexcept;
  // "a string", "an object", ...
  const char* kind_name() const noexcept;
};

struct JsonNode::Member {
  std::string first;  // its name
  JsonNode second;
};

// Throws Error(invalid_argument), beginning with "NAME:LINE: ", for text that is no JSON, nested deeper
// than 16, or has a name twice in one object.
JsonNode parse_json(std::string_view text, const std::string& name);

}  // namespace fourge
