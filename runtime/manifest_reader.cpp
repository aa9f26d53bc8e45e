#include "runtime/manifest_reader.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <utility>

#include "jit/some_target.hpp"

namespace fourge {
namespace {

using Kind = JsonNode::Kind;

}  // namespace

void ManifestReader::fail(ErrorKind kind, const JsonNode& node, const std::string& field,
                          const std::string& what) const {
  throw Error(
      kind, fmt::format("{}:{}: {}{}{}", name_, node.line, field, field.empty() ? "" : ": ", what));
}

void ManifestReader::require(const JsonNode& node, Kind kind, const std::string& field,
                             const char* wanted) const {
  if (node.kind != kind) {
    fail(ErrorKind::invalid_argument, node, field,
         fmt::format("expected {}, found {}", wanted, node.kind_name()));
  }
}

void ManifestReader::check_members(const JsonNode& object, const std::string& field,
                                   const std::vector<std::string_view>& known) const {
  for (const auto& member : object.members) {
    if (std::find(known.begin(), known.end(), member.first) == known.end()) {
      fail(ErrorKind::invalid_argument, member.second, field,
           fmt::format("unknown field \"{}\"; known: {}", member.first, fmt::join(known, ", ")));
    }
  }
  for (const char* name : {"comment", "$schema"}) {
    if (const JsonNode* text = object.find(name)) {
      require(*text, Kind::string, field.empty() ? name : field + '.' + name, "a string");
    }
  }
}

void ManifestReader::read_version(const JsonNode& document) const {
  const JsonNode* version = document.find("fourge_manifest");
  if (version == nullptr) {
    fail(ErrorKind::invalid_argument, document, {},
         fmt::format("\"fourge_manifest\": {} is missing", kManifestVersion));
  }
  require(*version, Kind::number, "fourge_manifest", "a number");
  if (version->number != kManifestVersion) {
    fail(ErrorKind::invalid_argument, *version, "fourge_manifest",
         fmt::format("version {} is not known, only {} is", version->number, kManifestVersion));
  }
}

std::vector<Target> ManifestReader::read_targets(const JsonNode& list,
                                                 const std::string& field) const {
  require(list, Kind::array, field, "an array of targets");
  if (list.items.empty()) {
    fail(ErrorKind::invalid_argument, list, field, "it is empty; leave it out for any target");
  }
  std::vector<Target> targets;
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    const JsonNode& item = list.items[i];
    const std::string where = fmt::format("{}[{}]", field, i);
    require(item, Kind::string, where, "a target");
    try {
      targets.push_back(Target::parse(item.text));
    } catch (const Error& error) {
      fail(error.kind(), item, where, error.what());
    }
    if (std::count(targets.begin(), targets.end(), targets.back()) != 1) {
      fail(ErrorKind::invalid_argument, item, where, item.text + " is there twice");
    }
  }
  return targets;
}

KernelSpec ManifestReader::parse_spec(const JsonNode& node, const std::string& field,
                                      const std::string& text, std::optional<Target> target) const {
  try {
    // Whether there is a target in the text, too.
    KernelSpec spec = ops_.parse(text, target);
    spec.check();
    return spec;
  } catch (const Error& error) {
    fail(error.kind(), node, field, error.what());
  }
}

void ManifestReader::read_fallback(const JsonNode& node, const std::string& field, Target target,
                                   Manifest::Entry& entry) const {
  if (node.kind == Kind::boolean && !node.boolean) {
    entry.stands_alone = true;
    return;
  }
  require(node, Kind::string, field, "a spec or false");
  if (node.text.find('@') != std::string::npos) {
    fail(ErrorKind::invalid_argument, node, field, "a fallback has the target of its spec");
  }
  entry.fallback = parse_spec(node, field, node.text, target);
  if (!entry.fallback->same_results(entry.spec.with_target(target))) {
    fail(ErrorKind::invalid_spec, node, field,
         fmt::format("{} has other results than {}", entry.fallback->text_without_target(),
                     entry.spec.text_without_target()));
  }
}

void ManifestReader::read_spec(const JsonNode& node, const std::string& field,
                               Manifest& manifest) const {
  const bool plain = node.kind == Kind::string;
  if (!plain) {
    require(node, Kind::object, field, "a spec or an object");
    check_members(node, field, {"spec", "targets", "fallback", "comment"});
  }
  const JsonNode* text = plain ? &node : node.find("spec");
  if (text == nullptr) {
    fail(ErrorKind::invalid_argument, node, field, "\"spec\" is missing");
  }
  const std::string where = plain ? field : field + ".spec";
  require(*text, Kind::string, where, "a spec");
  const JsonNode* listed = plain ? nullptr : node.find("targets");
  const bool named = text->text.find('@') != std::string::npos;
  if (named && listed != nullptr) {
    fail(ErrorKind::invalid_argument, *listed, field + ".targets",
         "the spec names a target already");
  }
  Manifest::Entry entry{jit::parse_for_some_target([&](Target target) {
                          return parse_spec(*text, where, text->text, target);
                        }),
                        {},
                        false,
                        false,
                        std::nullopt,
                        text->line};
  if (named) {
    entry.targets = {entry.spec.target()};
  } else if (listed != nullptr) {
    entry.targets = read_targets(*listed, field + ".targets");
  }
  entry.own_targets = !entry.targets.empty();
  if (!entry.own_targets) {
    entry.targets = manifest.targets_;
  }
  for (const Target target : entry.targets) {
    parse_spec(*text, where, entry.spec.text_without_target(), target);
  }
  if (const JsonNode* fallback = plain ? nullptr : node.find("fallback")) {
    const Target some = entry.targets.empty() ? entry.spec.target() : entry.targets.front();
    read_fallback(*fallback, field + ".fallback", some, entry);
  }
  add(*text, where, std::move(entry), manifest);
}

void ManifestReader::add(const JsonNode& node, const std::string& field, Manifest::Entry entry,
                         Manifest& manifest) const {
  const auto meets = [&entry](const Manifest::Entry& other) {
    const auto shared = [&other](Target target) {
      return std::find(other.targets.begin(), other.targets.end(), target) != other.targets.end();
    };
    return other.spec.with_target(entry.spec.target()) == entry.spec &&
           (other.targets.empty() || entry.targets.empty() ||
            std::any_of(entry.targets.begin(), entry.targets.end(), shared));
  };
  const auto known = std::find_if(manifest.entries_.begin(), manifest.entries_.end(), meets);
  if (known != manifest.entries_.end()) {
    fail(ErrorKind::invalid_argument, node, field,
         fmt::format("{} is there twice; the first time on line {}",
                     entry.spec.text_without_target(), known->line));
  }
  manifest.entries_.push_back(std::move(entry));
}

Manifest ManifestReader::read(std::string_view json) {
  const JsonNode document = parse_json(json, name_);
  require(document, Kind::object, {}, "an object");
  check_members(document, {}, {"fourge_manifest", "targets", "specs", "comment", "$schema"});
  read_version(document);
  Manifest manifest;
  manifest.name_ = name_;
  if (const JsonNode* targets = document.find("targets")) {
    manifest.targets_ = read_targets(*targets, "targets");
  }
  const JsonNode* specs = document.find("specs");
  if (specs == nullptr) {
    fail(ErrorKind::invalid_argument, document, {}, "\"specs\" is missing");
  }
  require(*specs, Kind::array, "specs", "an array of specs");
  for (std::size_t i = 0; i < specs->items.size(); ++i) {
    read_spec(specs->items[i], fmt::format("specs[{}]", i), manifest);
  }
  return manifest;
}

}  // namespace fourge
