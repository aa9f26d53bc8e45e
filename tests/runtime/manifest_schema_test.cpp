// The published schema and the parser agree on what a manifest looks like. The validator here knows the
// keywords that the schema uses, and fails for any other.
#include <fourge/error.hpp>
#include <fourge/manifest.hpp>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

using Json = nlohmann::json;

Json read_schema() {
  std::ifstream file(std::string(FOURGE_SOURCE_DIR) + "/docs/manifest.schema.json");
  return Json::parse(file);
}

bool has_type(const Json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  REQUIRE(type == "string");
  return value.is_string();
}

bool fits(const Json& schema, const Json& root, const Json& value);

bool object_fits(const Json& schema, const Json& root, const Json& value) {
  const Json properties = schema.value("properties", Json::object());
  for (const auto& [name, member] : value.items()) {
    if (!properties.contains(name)) {
      if (schema.contains("additionalProperties")) return false;
    } else if (!fits(properties[name], root, member)) {
      return false;
    }
  }
  const Json required = schema.value("required", Json::array());
  return std::all_of(required.begin(), required.end(),
                     [&](const Json& name) { return value.contains(name.get<std::string>()); });
}

bool array_fits(const Json& schema, const Json& root, const Json& value) {
  if (value.size() < schema.value("minItems", std::size_t{0})) return false;
  if (schema.value("uniqueItems", false) &&
      std::set<Json>(value.begin(), value.end()).size() != value.size()) {
    return false;
  }
  return std::all_of(value.begin(), value.end(),
                     [&](const Json& item) { return fits(schema["items"], root, item); });
}

bool fits(const Json& schema, const Json& root, const Json& value) {
  static const std::set<std::string> kKnown{
      "$schema",  "title",       "description", "type", "required", "additionalProperties",
      "$defs",    "const",       "properties",  "$ref", "items",    "oneOf",
      "minItems", "uniqueItems", "pattern"};
  for (const auto& [keyword, unused] : schema.items()) {
    INFO(keyword);
    REQUIRE(kKnown.count(keyword) == 1);
  }
  if (schema.contains("$ref")) {
    const std::string name = schema["$ref"].get<std::string>().substr(1);
    if (!fits(root[Json::json_pointer(name)], root, value)) return false;
  }
  if (schema.contains("const") && schema["const"] != value) return false;
  if (schema.contains("type") && !has_type(value, schema["type"])) return false;
  if (schema.contains("pattern") && value.is_string() &&
      !std::regex_search(value.get<std::string>(),
                         std::regex(schema["pattern"].get<std::string>()))) {
    return false;
  }
  if (schema.contains("oneOf") &&
      std::count_if(schema["oneOf"].begin(), schema["oneOf"].end(),
                    [&](const Json& one) { return fits(one, root, value); }) != 1) {
    return false;
  }
  if (value.is_object() && !object_fits(schema, root, value)) return false;
  return !value.is_array() || !schema.contains("items") || array_fits(schema, root, value);
}

bool parses(const std::string& text) {
  try {
    Manifest::parse(text);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

TEST_CASE("schema and parser agree on what a manifest looks like", "[manifest]") {
  const Json schema = read_schema();
  const std::string begin = R"({"fourge_manifest": 1, )";
  const std::vector<std::string> good{
      R"("specs": []})",
      R"("$schema": "x", "comment": "y", "targets": ["sm_90a", "sm_80"], "specs": ["row_amax"]})",
      R"("specs": ["row_amax@sm_90a", {"spec": "nvfp4_quantize"}]})",
      R"("specs": [{"spec": "row_amax", "targets": ["sm_100f"], "fallback": false, "comment": ""}]})",
      R"("specs": [{"spec": "row_amax[tpr=32]", "fallback": "row_amax[tpr=512]"}]})"};
  for (const std::string& rest : good) {
    INFO(rest);
    CHECK(parses(begin + rest));
    CHECK(fits(schema, schema, Json::parse(begin + rest)));
  }
  const std::vector<std::string> bad{
      R"("specs": {}})",
      R"("specs": [7]})",
      R"("spec": []})",
      R"("specs": [], "more": 1})",
      R"("specs": [], "comment": 1})",
      R"("specs": [], "targets": []})",
      R"("specs": [], "targets": ["sm_90a", "sm_90a"]})",
      R"("specs": [], "targets": ["90a"]})",
      R"("specs": [], "targets": "sm_90a"})",
      R"("specs": [{"targets": ["sm_90a"]}]})",
      R"("specs": [{"spec": "row_amax", "target": "sm_90a"}]})",
      R"("specs": [{"spec": "row_amax", "fallback": true}]})",
      R"("specs": [{"spec": "row_amax", "fallback": null}]})",
      R"("specs": [{"spec": "row_amax", "fallback": "row_amax@sm_90a"}]})",
      R"("specs": [{"spec": ["row_amax"]}]})"};
  for (const std::string& rest : bad) {
    INFO(rest);
    CHECK_FALSE(parses(begin + rest));
    CHECK_FALSE(fits(schema, schema, Json::parse(begin + rest)));
  }
  for (const char* text :
       {"[]", "{}", R"({"fourge_manifest": 2, "specs": []})", R"({"specs": []})"}) {
    INFO(text);
    CHECK_FALSE(parses(text));
    CHECK_FALSE(fits(schema, schema, Json::parse(text)));
  }
}

}  // namespace fourge::tests
