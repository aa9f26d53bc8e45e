// The reader of template files from outside. Of what it accepts, the generator takes out the lines that are
// includes: these must be the ones that were found, with names that lead out of nothing.
#include <fourge/error.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "runtime/template_scanner.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace fourge;

std::optional<std::vector<TemplateInclude>> scan(std::string_view text) {
  try {
    return scan_template(text, "x.cuh");
  } catch (const Error& error) {
    fuzz::require(error.kind() == ErrorKind::invalid_argument, "a refusal is of its kind");
    fuzz::require(std::string_view(error.what()).starts_with("x.cuh:"), "a refusal has a place");
    return std::nullopt;
  }
}

// Lines that the generator takes for includes.
std::vector<std::size_t> pasted_lines(std::string_view text) {
  std::vector<std::size_t> lines;
  for (std::size_t line = 1; !text.empty(); ++line) {
    if (text.starts_with("#include \"")) lines.push_back(line);
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  }
  return lines;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = fuzz::text_of(data, size);
  const auto includes = scan(text);
  if (!includes) return 0;
  const auto lines = pasted_lines(text);
  fuzz::require(lines.size() == includes->size(), "what is pasted is what was found");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string& name = (*includes)[i].name;
    fuzz::require((*includes)[i].line == lines[i], "lines are counted alike");
    fuzz::require(is_template_name(name), "an accepted name is a name");
    fuzz::require(name.front() != '/' && ("/" + name + "/").find("/../") == std::string::npos,
                  "a name leads out of nothing");
  }

  return 0;
}
