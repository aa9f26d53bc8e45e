// Collects the template files of an operation from outside: the first, and what it includes. Each is
// checked, so that the generated source is all that a compiler sees: includes that the generator can
// paste, and nothing that reads a file or the clock.
#pragma once

#include <fourge/op_registry.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace fourge {

// How an operation's files are had. read throws Error(io); its argument is a valid name. shown tells
// what messages call a file.
struct TemplateReader {
  std::function<std::string(const std::string& name)> read;
  std::function<std::string(const std::string& name)> shown;
};

// Files of a directory. Throws Error(io) if there is no such directory.
TemplateReader directory_reader(const std::string& directory);
// Files given as text, which must outlive the reader.
TemplateReader text_reader(std::span<const TemplateText> files);

// The file `first` and all that it includes, fourge's own device files among them. Throws
// Error(invalid_argument) with file and line, and what the reader throws.
std::vector<TemplateText> collect_templates(std::string_view first, const TemplateReader& reader);

}  // namespace fourge
