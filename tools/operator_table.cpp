#include "tools/operator_table.hpp"

#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/runtime.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "jit/nvrtc.hpp"
#include "jit/nvrtc_location.hpp"
#include "jit/source_generator.hpp"
#include "tools/executed_targets.hpp"

namespace fourge::tools {
namespace {

// What the flags of Config stand for; one that is missing here goes by its own name.
const std::map<std::string, const char*> kFlagTexts = {{"kCvtE2m1", "E2M1 conversion"},
                                                       {"kCvtE4m3", "E4M3 conversion"},
                                                       {"kCvtUe8m0", "UE8M0 conversion"},
                                                       {"kLoad256", "loads of 256 bits"},
                                                       {"kGridDependency", "dependent launch"}};

// The conversions' instructions. Shared device code asks for flags that a kernel may not need, so that
// these are looked for in compiled code too.
const std::map<std::string, const char*> kInstructions = {
    {"kCvtE2m1", ".e2m1x2"}, {"kCvtE4m3", ".e4m3x2"}, {"kCvtUe8m0", ".ue8m0x2"}};
constexpr const char* kTargetWithAll = "sm_100a";

// The flags that the source of an operation asks for; the template is the same for all variants.
std::vector<std::string> asked_for(const OpDefinition& op) {
  const Target all = Target::parse(kTargetWithAll);
  const std::string source = generate_source(legal_variants(op, all).front());
  std::vector<std::string> names;
  for (const jit::TargetFlag& flag : jit::target_flags(all)) {
    if (source.find(fmt::format("Config::{}(", flag.name)) != std::string::npos) {
      names.emplace_back(flag.name);
    }
  }
  return names;
}

// PTX of variants of an operation for the target that has all instructions: of the default, and of
// every other value of each axis, made as they are asked for.
class Compiled {
 public:
  Compiled(const jit::Nvrtc& nvrtc, const OpDefinition& op) : nvrtc_(nvrtc) {
    const auto legal = legal_variants(op, Target::parse(kTargetWithAll));
    specs_.push_back(legal.front());
    for (std::size_t axis = 0; axis < op.axes.size(); ++axis) {
      for (std::size_t value = 0; value < op.axes[axis].values.size(); ++value) {
        const auto first = std::find_if(legal.begin(), legal.end(), [&](const KernelSpec& spec) {
          return spec.index(axis) == value;
        });
        if (first != legal.end() &&
            std::find(specs_.begin(), specs_.end(), *first) == specs_.end()) {
          specs_.push_back(*first);
        }
      }
    }
  }

  bool any_has(const char* instruction) {
    for (std::size_t i = 0; i < specs_.size(); ++i) {
      if (i == ptx_.size()) {
        ptx_.push_back(compile(specs_[i]));
      }
      if (ptx_[i].find(instruction) != std::string::npos) {
        return true;
      }
    }
    return false;
  }

 private:
  std::string compile(const KernelSpec& spec) const {
    auto options = compile_options(spec);
    options.at(0) = "--gpu-architecture=" + spec.target().virtual_text();
    jit::CompileOutput output = nvrtc_.compile(generate_source(spec), "table.cu", options);
    if (!output.ok) {
      throw Error(ErrorKind::compile_failed, fmt::format("{}: {}", spec.text(), output.log));
    }
    return std::move(output.ptx);
  }

  const jit::Nvrtc& nvrtc_;
  std::vector<KernelSpec> specs_;
  std::vector<std::string> ptx_;
};

std::vector<std::string> used_flags(const jit::Nvrtc& nvrtc, const OpDefinition& op) {
  Compiled compiled(nvrtc, op);
  std::vector<std::string> used;
  for (const std::string& flag : asked_for(op)) {
    const auto instruction = kInstructions.find(flag);
    if (instruction == kInstructions.end() || compiled.any_has(instruction->second)) {
      used.push_back(flag);
    }
  }
  return used;
}

std::string executed_on(const Target& target) {
  std::string text;
  const auto add = [&text](std::string_view where) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", where);
  };
  if (std::find(std::begin(kHostExecuted), std::end(kHostExecuted), target.text()) !=
      std::end(kHostExecuted)) {
    add("host");
  }
  for (const DeviceExecuted& entry : kDeviceExecuted) {
    if (entry.target == target.text()) {
      add(entry.device);
    }
  }
  return text.empty() ? "compiled" : text;
}

// A column: targets of which all rows say the same.
struct Group {
  std::string targets;
  std::vector<jit::TargetFlag> flags;
  Target first;

  [[nodiscard]] bool has(std::string_view flag) const {
    return std::any_of(flags.begin(), flags.end(), [flag](const jit::TargetFlag& other) {
      return other.name == flag && other.value;
    });
  }
};

std::vector<Group> groups() {
  std::vector<Group> list;
  for (const Target& target : Target::all()) {
    Group group{target.text(), jit::target_flags(target), target};
    const auto same = std::find_if(list.begin(), list.end(), [&group](const Group& other) {
      return other.flags == group.flags && executed_on(other.first) == executed_on(group.first);
    });
    if (same == list.end()) {
      list.push_back(std::move(group));
    } else {
      same->targets += " " + target.text();
    }
  }
  return list;
}

}  // namespace

std::string operator_table() {
  const Options options = Options::from_environment();
  const auto place = jit::locate_nvrtc({options.nvrtc_library, options.cuda_home});
  if (!place.found()) {
    throw Error(ErrorKind::library_missing, jit::nvrtc_missing_message(place));
  }
  const jit::Nvrtc nvrtc(place.path);
  const std::vector<Group> columns = groups();
  std::string text = "| operator | |";
  std::string line = "|---|---|";
  for (const Group& column : columns) {
    text += fmt::format(" {} |", column.targets);
    line += "---|";
  }
  text += "\n" + line + "\n";
  for (const OpDefinition* op : all_ops()) {
    text += fmt::format("| `{}` | executed on |", op->name);
    for (const Group& column : columns) {
      text += fmt::format(" {} |", executed_on(column.first));
    }
    text += "\n";
    for (const std::string& flag : used_flags(nvrtc, *op)) {
      const auto known = kFlagTexts.find(flag);
      text += fmt::format("| | {} |", known == kFlagTexts.end() ? flag : known->second);
      const bool conversion = flag.starts_with("kCvt");
      for (const Group& column : columns) {
        text += column.has(flag) ? " instruction |" : conversion ? " software |" : " without |";
      }
      text += "\n";
    }
  }
  return text;
}

std::string with_operator_table(const std::string& text, const std::string& name) {
  const std::size_t begin = text.find(kTableBegin);
  const std::size_t end = begin == std::string::npos ? begin : text.find(kTableEnd, begin);
  if (end == std::string::npos) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: the lines {} and {}, between which the table goes, are not both "
                            "there in this order",
                            name, kTableBegin.substr(0, kTableBegin.size() - 1),
                            kTableEnd.substr(0, kTableEnd.size() - 1)));
  }
  return text.substr(0, begin + kTableBegin.size()) + operator_table() + text.substr(end);
}

}  // namespace fourge::tools
