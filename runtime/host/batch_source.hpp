// The translation unit of a batch: several generated sources, each in a namespace of its own, but device code that
// they have in common once; and a table of their entries. The compiler takes a third less time than with the
// device code of each (12 variants of rmsnorm_quantize).
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace fourge::host {

struct BatchPiece {
  std::string key;  // by which the compiled batch names the kernel
  std::string_view entry_name;
  std::string_view source;
};

// Entry names need not be distinct.
std::string batch_source(std::span<const BatchPiece> pieces);

struct EmbeddedText {
  std::string_view name;
  std::string_view text;
};

// The headers that the translation unit includes from its own directory.
std::span<const EmbeddedText> prelude_files();

}  // namespace fourge::host
