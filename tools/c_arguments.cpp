#include "tools/c_arguments.hpp"

#include <fourge/error.hpp>
#include <fourge/op_definition.hpp>

#include <fmt/format.h>

#include <map>
#include <string_view>

namespace fourge::tools {
namespace {

constexpr std::string_view kOpening =
    R"(/* fourge's C API, part 3: the argument structs of the built-in operations. Made by
 * `fourge variants --c-args`; do not edit. C11; also C++. What a member means is in the operation's C++
 * header (<fourge/nvfp4_quantize.hpp> and so on), under the same name.
 *
 * Structs begin as fourge_args_init() leaves them, not as zeros: batches is 1, for example. The number
 * behind a member is its offset. A change of one is a change of FOURGE_ABI_VERSION. */
#ifndef FOURGE_C_ARGS_H
#define FOURGE_C_ARGS_H

#include <stdint.h>

/* clang-format off */

#if defined(__cplusplus)
#define FOURGE_C_ARGS_SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type)
#else
#define FOURGE_C_ARGS_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#endif
)";

// Types of fixed width instead of those that the kernel's source has.
std::string c_type(const OpDefinition& op, const Param& param) {
  static const std::map<std::string_view, std::string_view> kBases = {
      {"void", "void"},         {"float", "float"},           {"int", "int32_t"},
      {"long long", "int64_t"}, {"unsigned char", "uint8_t"}, {"unsigned int", "uint32_t"}};
  std::string_view base = param.type;
  const bool pointer = base.ends_with('*');
  const bool constant = base.starts_with("const ");
  base.remove_prefix(constant ? 6 : 0);
  base.remove_suffix(pointer ? 1 : 0);
  const auto known = kBases.find(base);
  if (known == kBases.end()) {
    throw Error(ErrorKind::internal, fmt::format("{}: no C type is known for \"{}\", that of {}",
                                                 op.name, param.type, param.name));
  }
  return fmt::format("{}{}{}", constant ? "const " : "", known->second, pointer ? "*" : "");
}

std::string argument_struct(const OpDefinition& op) {
  std::string text =
      fmt::format("\n/* {} */\ntypedef struct fourge_{}_args {{\n", op.summary, op.name);
  for (const Param& param : op.params) {
    text += fmt::format("  {} {}; /* {} */\n", c_type(op, param), param.name, param.offset);
  }
  return text + fmt::format("}} fourge_{0}_args;\nFOURGE_C_ARGS_SIZE(fourge_{0}_args, {1});\n",
                            op.name, op.args_size);
}

}  // namespace

std::string c_arguments_header() {
  std::string text(kOpening);
  std::string members =
      "\n/* X(operation, member), for every member. */\n#define FOURGE_C_ARGS_MEMBERS(X)";
  for (const OpDefinition* op : all_ops()) {
    text += argument_struct(*op);
    for (const Param& param : op->params) {
      members += fmt::format(" \\\n  X({}, {})", op->name, param.name);
    }
  }
  return text + members + "\n\n#undef FOURGE_C_ARGS_SIZE\n\n#endif /* FOURGE_C_ARGS_H */\n";
}

}  // namespace fourge::tools
