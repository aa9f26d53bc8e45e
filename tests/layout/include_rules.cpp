#include "tests/layout/include_rules.hpp"

#include <algorithm>
#include <optional>

namespace fourge::tests {
namespace {

struct Module {
  std::string_view prefix;
  std::string_view suffix;                     // of the file's name; empty: any
  std::vector<std::string_view> quoted;        // what #include "..." may begin with
  bool public_headers;                         // <fourge/...>
  bool others;                                 // system and third-party headers
  std::vector<std::string_view> special = {};  // of kSpecial, those allowed
};

// Headers that only some modules may see, by what they begin with.
constexpr std::string_view kSpecial[] = {"cuda", "nvrtc.h", "boost/", "CLI/", "catch2/"};

// The first that fits decides.
const std::vector<Module>& modules() {
  static const std::vector<Module> kModules{
      {"kernel_templates/", ".cuh", {"device/"}, false, false},
      {"kernel_templates/", "", {"kernel_templates/"}, true, false},
      {"runtime/include/fourge/", "", {}, true, false},
      // Text for the host compiler, which gets these files side by side.
      {"runtime/host/prelude.hpp", "", {"abi.hpp", "float_ops.hpp"}, false, false},
      {"runtime/driver/",
       "",
       {"runtime/", "jit/", "cache/", "kernel_templates/"},
       true,
       true,
       {"cuda"}},
      {"runtime/host/",
       "",
       {"runtime/", "jit/", "cache/", "kernel_templates/"},
       true,
       true,
       {"boost/"}},
      {"runtime/", "", {"runtime/", "jit/", "cache/", "kernel_templates/"}, true, true},
      {"jit/", "", {"jit/"}, true, true, {"nvrtc.h"}},
      {"cache/", "", {"cache/"}, true, true},
      {"reference/", "", {"reference/"}, false, false},
      // Launches without the library, to compare with.
      {"tools/bench/bare_launch", "", {"tools/"}, true, true, {"cuda"}},
      {"tools/",
       "",
       {"tools/", "runtime/", "jit/", "cache/", "kernel_templates/", "reference/"},
       true,
       true,
       {"CLI/"}},
      // A project of its own: it names its files from its own root, and its templates fourge's.
      {"examples/custom_op/", ".cuh", {"device/", "scale_of_row.cuh"}, false, false},
      {"examples/custom_op/", "", {"scaled_cast.hpp"}, true, false},
      {"examples/", "", {"examples/"}, true, true, {"cuda"}},
      {"tests/support/catch.hpp", "", {}, false, true, {"catch2/"}},
      {"tests/",
       "",
       {"tests/", "tools/", "examples/", "runtime/", "jit/", "cache/", "kernel_templates/",
        "reference/"},
       true,
       true,
       {"cuda", "nvrtc.h"}},
  };
  return kModules;
}

const Module* module_of(std::string_view path) {
  for (const Module& module : modules()) {
    if (path.starts_with(module.prefix) && path.ends_with(module.suffix)) {
      return &module;
    }
  }
  return nullptr;
}

struct Include {
  bool quoted;
  std::string_view name;
};

std::optional<Include> parse_include(std::string_view line) {
  const auto skip_blanks = [&line] {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  };
  skip_blanks();
  if (!line.starts_with('#')) {
    return std::nullopt;
  }
  line.remove_prefix(1);
  skip_blanks();
  constexpr std::string_view kWord = "include";
  if (!line.starts_with(kWord)) {
    return std::nullopt;
  }
  line.remove_prefix(kWord.size());
  skip_blanks();
  const bool quoted = line.starts_with('"');
  if (!quoted && !line.starts_with('<')) {
    return std::nullopt;
  }
  line.remove_prefix(1);
  return Include{quoted, line.substr(0, line.find(quoted ? '"' : '>'))};
}

bool begins_with_one_of(std::string_view name, const std::vector<std::string_view>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [name](std::string_view prefix) { return name.starts_with(prefix); });
}

bool is_standard(std::string_view name) {
  return name == "stddef.h" || name == "stdint.h" ||
         name.find_first_of("./") == std::string_view::npos;
}

// Empty: allowed.
std::string refusal(const Module& module, const Include& include) {
  const std::string_view name = include.name;
  if (name.find("..") != std::string_view::npos) {
    return "a path with \"..\"";
  }
  if (include.quoted) {
    return begins_with_one_of(name, module.quoted) ? ""
                                                   : "against the arrows, or not from the root";
  }
  if (name.starts_with("fourge/")) {
    return module.public_headers ? "" : "this module depends on nothing of the project";
  }
  if (module.suffix == ".cuh") {
    return "device code includes nothing from outside";
  }
  if (is_standard(name)) {
    return "";
  }
  if (!module.others) {
    return "only the standard library is allowed here";
  }
  for (const std::string_view special : kSpecial) {
    if (name.starts_with(special) && !begins_with_one_of(name, module.special)) {
      return "this module knows nothing of " + std::string(special);
    }
  }
  return "";
}

}  // namespace

Violations check_includes(std::string_view path, std::string_view text) {
  Violations found;
  const Module* module = module_of(path);
  for (std::size_t line = 1; module != nullptr && !text.empty(); ++line) {
    // The last line may lack its end; parse_include() takes what it needs.
    const std::size_t end = std::min(text.find('\n'), text.size() - 1);
    if (const auto include = parse_include(text.substr(0, end + 1))) {
      if (const std::string why = refusal(*module, *include); !why.empty()) {
        found.push_back({std::string(path), line, std::string(include->name) + ": " + why});
      }
    }
    text.remove_prefix(end + 1);
  }
  return found;
}

}  // namespace fourge::tests
