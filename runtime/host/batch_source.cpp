#include "runtime/host/batch_source.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace fourge::host {

namespace {

bool is_shared_name(std::span<const BatchPiece> pieces, std::string_view name) {
  return std::count_if(pieces.begin(), pieces.end(),
                       [&](const BatchPiece& piece) { return piece.entry_name == name; }) > 1;
}

}  // namespace

std::string batch_source(std::span<const BatchPiece> pieces) {
  std::string text = "#include \"prelude.hpp\"\n";
  std::string table;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const BatchPiece& piece = pieces[i];
    // Entries are extern "C", which namespaces do not keep apart.
    const bool rename = is_shared_name(pieces, piece.entry_name);
    const auto name =
        rename ? fmt::format("fourge_host_entry_{}", i) : std::string(piece.entry_name);
    text += fmt::format("\nnamespace variant_{} {{\n", i);
    text += rename ? fmt::format("#define {} {}\n", piece.entry_name, name) : "";
    text += piece.source;
    text += "\n";
    text += rename ? fmt::format("#undef {}\n", piece.entry_name) : "";
    text += fmt::format("}}  // namespace variant_{}\n", i);
    table += fmt::format("    fourge_host::Entry<&variant_{}::{}>::describe(\"{}\"),\n", i, name,
                         piece.key);
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
