// What `fourge prewarm` is asked to build: lines of targets, operations and a filter over axis values.
// There is no file format for it; these texts are its manifest.
#include <fourge/error.hpp>

#include <string>
#include <vector>

#include "tests/fuzz/fuzz_target.hpp"
#include "tools/spec_argument.hpp"

namespace {

using namespace fourge;

// Takes the text up to the next end of line, and that.
std::string take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string line(text.substr(0, end));
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return line;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::text_of(data, size);
  const std::string targets = take_line(text);
  const std::string op = take_line(text);
  try {
    const auto ops = tools::parse_ops({op.empty() ? "scale_interleave" : op});
    const auto parsed = tools::parse_targets(targets);
    fuzz::require(!parsed.empty(), "there is a target");
    // One is enough: the filter does not depend on it, and all of them take long.
    const auto selected = tools::select_variants(ops, {parsed.front()}, text);
    for (const auto& variants : selected) {
      for (const KernelSpec& spec : variants.specs) {
        fuzz::require(spec.target() == parsed.front(), "the variant is for the target");
      }
    }
  } catch (const Error& error) {
    fuzz::require(error.kind() == ErrorKind::invalid_spec, "a refusal is of kind invalid_spec");
  }
  return 0;
}
