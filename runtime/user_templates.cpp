#include "runtime/user_templates.hpp"

#include <fourge/error.hpp>

#include "runtime/template_scanner.hpp"
#include "runtime/templates.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <system_error>

namespace fourge {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMaxBytes = std::uintmax_t{1} << 20U;
constexpr std::string_view kDevice = "device/";

bool lies_below(const fs::path& path, const fs::path& directory) {
  const auto parts = std::mismatch(directory.begin(), directory.end(), path.begin(), path.end());
  return parts.first == directory.end();
}

std::string read_template(const fs::path& directory, const std::string& name) {
  const fs::path asked = directory / name;
  const auto fail = [&asked](ErrorKind kind, const std::string& why) {
    throw Error(kind, fmt::format("template file {} {}", asked.string(), why));
  };
  std::error_code error;
  const fs::path real = fs::canonical(asked, error);
  if (error) {
    fail(ErrorKind::io, fmt::format("cannot be read: {}", error.message()));
  }
  if (!lies_below(real, directory)) {
    fail(ErrorKind::invalid_argument,
         fmt::format("leads out of its directory, to {}; put a copy into the directory",
                     real.string()));
  }
  if (!fs::is_regular_file(real, error)) {
    fail(ErrorKind::io, "is no file");
  }
  const auto size = fs::file_size(real, error);
  if (!error && size > kMaxBytes) {
    fail(ErrorKind::invalid_argument,
         fmt::format("has {} bytes; at most {} are taken", size, kMaxBytes));
  }
  errno = 0;
  std::ifstream file(real, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file) {
    fail(ErrorKind::io, fmt::format("cannot be read: {}", std::strerror(errno)));
  }
  return text;
}

// Null if there is none of that name.
const jit::TemplateFile* device_file(std::string_view name) {
  const auto files = template_files();
  const auto found = std::find_if(files.begin(), files.end(),
                                  [name](const jit::TemplateFile& f) { return f.name == name; });
  return found == files.end() ? nullptr : &*found;
}

class Collector {
 public:
  explicit Collector(const TemplateReader& reader) : reader_(reader) {}

  // place: what messages about the file begin with, if another one includes it.
  void take(const std::string& name, const std::string& place = {}) {
    if (!seen_.insert(name).second) {
      return;
    }
    TemplateText file{name, read(name, place)};
    const std::string shown = reader_.shown(name);
    for (const TemplateInclude& include : scan_template(file.text, shown)) {
      const auto here = fmt::format("{}:{}: includes \"{}\"", shown, include.line, include.name);
      if (include.name.starts_with(kDevice)) {
        take_device(include.name, here);
      } else {
        take(include.name, here + ": ");
      }
    }
    files_.push_back(std::move(file));
  }

  std::vector<TemplateText> result() { return std::move(files_); }

 private:
  std::string read(const std::string& name, const std::string& place) const {
    try {
      return reader_.read(name);
    } catch (const Error& error) {
      throw Error(error.kind(), place + error.what());
    }
  }

  void take_device(const std::string& name, const std::string& place) {
    if (!seen_.insert(name).second) {
      return;
    }
    const jit::TemplateFile* const file = device_file(name);
    if (file == nullptr) {
      throw Error(ErrorKind::invalid_argument,
                  fmt::format("{}, and fourge has no such device file", place));
    }
    for (const TemplateInclude& include : scan_template(file->text, name)) {
      take_device(include.name, name);
    }
    files_.push_back({name, std::string(file->text)});
  }

  const TemplateReader& reader_;
  std::set<std::string> seen_;
  std::vector<TemplateText> files_;
};

}  // namespace

TemplateReader directory_reader(const std::string& directory) {
  std::error_code error;
  const fs::path real = fs::canonical(directory, error);
  if (error || !fs::is_directory(real, error)) {
    throw Error(ErrorKind::io,
                fmt::format("template directory \"{}\" cannot be read: {}", directory,
                            error ? error.message() : std::string("it is no directory")));
  }
  return {[real](const std::string& name) { return read_template(real, name); },
          [real](const std::string& name) { return (real / name).string(); }};
}

TemplateReader text_reader(std::span<const TemplateText> files) {
  const auto read = [files](const std::string& name) {
    const auto found = std::find_if(files.begin(), files.end(),
                                    [&name](const TemplateText& f) { return f.name == name; });
    if (found == files.end()) {
      throw Error(ErrorKind::io, fmt::format("template file {} is not among those given", name));
    }
    return found->text;
  };
  return {read, [](const std::string& name) { return name; }};
}

std::vector<TemplateText> collect_templates(std::string_view first, const TemplateReader& reader) {
  if (!is_template_name(first) || first.starts_with(kDevice)) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("template_file \"{}\" must be the name of a file from the root of the "
                            "template directory, and not below device/, which is fourge's",
                            first));
  }
  Collector collector(reader);
  collector.take(std::string(first));
  return collector.result();
}

}  // namespace fourge
