#include "runtime/host/batch_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace fourge::host {

namespace {

bool is_shared_name(std::span<const BatchPiece> pieces, std::string_view name) {
  return std::count_if(pieces.begin(), pieces.end(),
                       [&](const BatchPiece& piece) { return piece.entry_name == name; }) > 1;
}

// A generated source is its name in a comment, device code that is the same for all variants of an operation, and from
// here on what is the variant's own. Of any other text all is its own.
constexpr std::string_view kOwnPart = "\nnamespace fourge_generated {\n";

struct Halves {
  std::string_view device;
  std::string_view own;
};

Halves halves(std::string_view source) {
  const std::size_t own = source.find(kOwnPart);
  if (own == std::string_view::npos || !source.starts_with("//")) return {{}, source};
  const std::size_t device = source.find('\n');
  return {source.substr(device, own - device), source.substr(own)};
}

// Entries are extern "C", which namespaces do not keep apart.
std::string renamed_entry(std::span<const BatchPiece> pieces, std::size_t i) {
  return is_shared_name(pieces, pieces[i].entry_name) ? fmt::format("fourge_host_entry_{}", i)
                                                      : std::string(pieces[i].entry_name);
}

std::string own_namespace(std::size_t i, std::string_view given, std::string_view name,
                          std::string_view own) {
  std::string text = fmt::format("\nnamespace variant_{} {{\n", i);
  text += name == given ? "" : fmt::format("#define {} {}\n", given, name);
  text += own;
  text += "\n";
  text += name == given ? "" : fmt::format("#undef {}\n", given);
  return text + fmt::format("}}  // namespace variant_{}\n", i);
}

}  // namespace

std::string batch_source(std::span<const BatchPiece> pieces) {
  std::string text = "#include \"prelude.hpp\"\n";
  std::string table;
  std::vector<Halves> parts;
  for (const BatchPiece& piece : pieces) parts.push_back(halves(piece.source));
  std::vector<bool> done(pieces.size());
  for (std::size_t first = 0; first < pieces.size(); ++first) {
    if (done[first]) continue;
    const std::string_view device = parts[first].device;
    text += fmt::format("\nnamespace device_{} {{\n{}\n", first, device);
    for (std::size_t i = first; i < pieces.size(); ++i) {
      if (done[i] || parts[i].device != device) continue;
      done[i] = true;
      const std::string name = renamed_entry(pieces, i);
      text += own_namespace(i, pieces[i].entry_name, name, parts[i].own);
      table +=
          fmt::format("    fourge_host::Entry<&device_{}::variant_{}::{}>::describe(\"{}\"),\n",
                      first, i, name, pieces[i].key);
    }
    text += fmt::format("}}  // namespace device_{}\n", first);
  }
  return text + fmt::format(R"(
namespace {{
const fourge_host::Function fourge_functions[] = {{
{}}};
const fourge_host::Module fourge_module = {{fourge_host::kAbiVersion, {}, fourge_functions}};
}}  // namespace

extern "C" __attribute__((visibility("default"))) const fourge_host::Module* fourge_host_module(
    const fourge_host::Hooks* hooks) {{
  fourge_host::hooks = hooks;
  return &fourge_module;
}}
)",
                            table, pieces.size());
}

}  // namespace fourge::host
