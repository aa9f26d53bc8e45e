#include <fourge/error.hpp>
#include <fourge/op_registry.hpp>
#include <fourge/runtime.hpp>

#include "runtime/definition_check.hpp"
#include "runtime/templates.hpp"
#include "runtime/user_templates.hpp"

#include <fmt/format.h>
#include <algorithm>

namespace fourge {
namespace {

const OpDefinition* built_in(std::string_view name) {
  const auto ops = all_ops();
  const auto found =
      std::find_if(ops.begin(), ops.end(), [name](const auto* op) { return op->name == name; });
  return found == ops.end() ? nullptr : *found;
}

}  // namespace

void OpRegistry::add(const OpDefinition& op, const std::string& template_directory) {
  check_definition(op);
  insert(op, collect_templates(op.template_file, directory_reader(template_directory)));
}

void OpRegistry::add(const OpDefinition& op, std::span<const TemplateText> files) {
  check_definition(op);
  insert(op, collect_templates(op.template_file, text_reader(files)));
}

void OpRegistry::insert(const OpDefinition& op, std::vector<TemplateText> files) {
  const bool is_added = std::any_of(entries_.begin(), entries_.end(), [&op](const auto& entry) {
    return entry->op->name == op.name;
  });
  if (is_added || built_in(op.name) != nullptr) {
    throw Error(
        ErrorKind::invalid_argument,
        fmt::format("operation \"{}\" cannot be added: {}; give yours another name", op.name,
                    is_added ? "one of that name was added before"
                             : "fourge has a built-in one of that name"));
  }
  entries_.push_back(std::make_shared<const Entry>(Entry{&op, std::move(files)}));
}

std::vector<const OpDefinition*> OpRegistry::added() const {
  std::vector<const OpDefinition*> ops;
  for (const auto& entry : entries_) {
    ops.push_back(entry->op);
  }
  return ops;
}

const OpDefinition& OpRegistry::find(std::string_view name) const {
  for (const auto& entry : entries_) {
    if (entry->op->name == name) {
      return *entry->op;
    }
  }
  if (const OpDefinition* op = built_in(name)) {
    return *op;
  }
  try {
    return find_op(name);  // throws
  } catch (const Error& error) {
    std::string text = error.what();
    for (const auto& entry : entries_) {
      text += fmt::format(", {}", entry->op->name);
    }
    throw Error(error.kind(), text);
  }
}

KernelSpec OpRegistry::parse(std::string_view text, std::optional<Target> fallback) const {
  return KernelSpec::parse(
      text, [this](std::string_view name) -> const OpDefinition& { return find(name); }, fallback);
}

std::span<const TemplateText> OpRegistry::templates(const OpDefinition& op) const noexcept {
  for (const auto& entry : entries_) {
    if (entry->op == &op) {
      return entry->files;
    }
  }
  return {};
}

std::string generate_source(const KernelSpec& spec, const OpRegistry& ops) {
  const auto added = ops.templates(spec.op());
  if (added.empty()) {
    return generate_source(spec);
  }
  std::vector<jit::TemplateFile> files;
  for (const TemplateText& file : added) {
    files.push_back({file.name, file.text});
  }
  // Whoever writes a template wants to know where it is wrong.
  return jit::generate(spec, files, jit::LineMarks::yes);
}

}  // namespace fourge
