// Operations of your own beside the built-in ones: an OpDefinition (<fourge/op_definition.hpp>) and the
// device templates that belong to it. docs/adding_an_op.md shows a whole one.
//
//   fourge::Options options = fourge::Options::from_environment();
//   options.ops.add(scaled_cast_op(), "/path/to/my/templates");
//   fourge::Runtime runtime(options);
//   auto kernel = runtime.prepare(runtime.parse("scaled_cast[scale=row]", runtime.device_target()));
//
// A registry is a value: what is added to one, no other one and no Runtime made before knows. Copies
// share what they hold. Added operations are cached, inspected, launched and executed on the host like
// the built-in ones. The `fourge` command does not know them.
//
// Template files are read when the operation is added and never again, so that a running process does
// not mix two states of a directory. Their text goes into the source that is compiled, and so into the
// key; their place does not, so a cache serves wherever they lie.
//
// In a template file an include is a line of its own, `#include "NAME"`, outside of every #if. It is
// pasted, once, before the file that has it. NAME is
//   device/...   one of fourge's own device files (kernel_templates/device/). These are no stable
//                interface: they may change with fourge's version
//   else         a file of yours, named from the root of the template directory. Neither ".." nor a
//                symbolic link leads out of it
// Nothing else can be included, so that the key covers all that the compiler sees.
//
// Not thread-safe while something is added; afterwards const and safe.
#pragma once

#include <fourge/export.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/op_definition.hpp>
#include <fourge/target.hpp>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fourge {

// A template file given as text, for programs that carry their templates with them.
struct TemplateText {
  std::string name;  // as op.template_file or an include names it: "scaled_cast.cuh"
  std::string text;
};

class FOURGE_API OpRegistry {
 public:
  OpRegistry() noexcept = default;

  // Reads op.template_file and what it includes from the directory. op, and all that its members point
  // to, must outlive this registry, its copies and their Runtimes: give it static storage.
  //
  // Throws Error(invalid_argument) for a name that is taken (by a built-in or an added operation), for
  // a definition with a defect, and, with file and line, for an include or a word that is not allowed;
  // Error(io) for a file that cannot be read. Then the registry is as it was.
  void add(const OpDefinition& op, const std::string& template_directory);
  // The same, with the files given as text. Files that nothing includes are not used.
  void add(const OpDefinition& op, std::span<const TemplateText> files);

  // What was added, in that order. Built-in operations are in all_ops().
  std::vector<const OpDefinition*> added() const;
  // Built-in or added. Throws Error(invalid_spec) with the known names.
  const OpDefinition& find(std::string_view name) const;
  // As KernelSpec::parse(), for built-in and added operations.
  KernelSpec parse(std::string_view text, std::optional<Target> fallback = std::nullopt) const;

  // The template files that op was added with, includes among them; empty if it is not in here. The
  // text lives as long as this registry or a copy does.
  std::span<const TemplateText> templates(const OpDefinition& op) const noexcept;

 private:
  struct Entry {
    const OpDefinition* op;
    std::vector<TemplateText> files;
  };
  using Entries = std::vector<std::shared_ptr<const Entry>>;

  void insert(const OpDefinition& op, std::vector<TemplateText> files);

  Entries entries_;
};

// As generate_source(spec) in <fourge/runtime.hpp>, for built-in and added operations.
FOURGE_API std::string generate_source(const KernelSpec& spec, const OpRegistry& ops);

}  // namespace fourge
