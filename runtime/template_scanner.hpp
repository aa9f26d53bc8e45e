// Reads one template file from outside, line by line, for what must not be in it and for its includes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fourge {

struct TemplateInclude {
  std::size_t line;  // from 1
  std::string name;
};

// A name of a template file: relative, parts separated by "/", neither "." nor "..".
bool is_template_name(std::string_view name);

// The file's includes, in order. shown: what messages call the file. Throws Error(invalid_argument),
// with file and line, for an include that the generator cannot paste (not at the start of a line, in
// angle brackets, made by a macro, inside of an #if or a comment), for another directive that reads a
// file, and for a word whose value is not the file's own (__DATE__).
std::vector<TemplateInclude> scan_template(std::string_view text, const std::string& shown);

}  // namespace fourge
