// From a manifest's text to a Manifest. Strict: what is not known is refused, with line and field.
#pragma once

#include <fourge/error.hpp>
#include <fourge/manifest.hpp>

#include "runtime/json_tree.hpp"

#include <optional>

#include <string>
#include <string_view>
#include <vector>

namespace fourge {

class ManifestReader {
 public:
  // Both outlive the reader. The name is for messages.
  ManifestReader(const std::string& name, const OpRegistry& ops) : name_(name), ops_(ops) {}

  Manifest read(std::string_view json);

 private:
  [[noreturn]] void fail(ErrorKind kind, const JsonNode& node, const std::string& field,
                         const std::string& what) const;
  void require(const JsonNode& node, JsonNode::Kind kind, const std::string& field,
               const char* wanted) const;
  void check_members(const JsonNode& object, const std::string& field,
                     const std::vector<std::string_view>& known) const;
  void read_version(const JsonNode& document) const;
  std::vector<Target> read_targets(const JsonNode& list, const std::string& field) const;
  void read_spec(const JsonNode& node, const std::string& field, Manifest& manifest) const;
  void read_fallback(const JsonNode& node, const std::string& field, Target target,
                     Manifest::Entry& entry) const;
  KernelSpec parse_spec(const JsonNode& node, const std::string& field, const std::string& text,
                        std::optional<Target> target) const;
  void add(const JsonNode& node, const std::string& field, Manifest::Entry entry,
           Manifest& manifest) const;

  const std::string& name_;
  const OpRegistry& ops_;
};

}  // namespace fourge
