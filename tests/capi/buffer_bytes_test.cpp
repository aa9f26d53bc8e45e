// The buffers that a call asks for, before there are any.
#include <fourge/fourge.h>
#include <fourge/kernel_spec.hpp>
#include <fourge/op_definition.hpp>

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

struct Answer {
  fourge_status status = FOURGE_OK;
  std::string message;
  std::uint64_t bytes = 0;
};

Answer ask(const std::string& spec, const std::vector<std::uint64_t>& args, std::size_t size,
           const char* buffer) {
  Answer answer;
  fourge_error* error = nullptr;
  answer.status =
      fourge_buffer_bytes(spec.c_str(), args.data(), size, buffer, &answer.bytes, &error);
  if (error != nullptr) {
    answer.message = fourge_error_message(error);
  }
  fourge_error_free(error);
  return answer;
}

// The defaults, with sizes that every variant takes and no pointer set.
std::vector<std::uint64_t> sized_arguments(const OpDefinition& op) {
  std::map<std::string_view, std::int64_t> sizes{
      {"rows", 256},    {"cols", 4096},     {"columns", 256}, {"batches", 1},
      {"tokens", 64},   {"top_k", 1},       {"tile", 1},      {"padded_cols", 4096},
      {"x_cols", 4096}, {"elements", 4096}, {"capacity", 256}};
  if (op.name != "moe_activation_quantize") {
    sizes["experts"] = 8;  // without a map of experts there it means something else
  }
  std::vector<std::uint64_t> words((op.args_size + 7) / 8);
  REQUIRE(fourge_args_init(std::string(op.name).c_str(), words.data(), op.args_size, nullptr) ==
          FOURGE_OK);
  for (const Param& param : op.params) {
    const auto size = sizes.find(param.name);
    if (size != sizes.end() && param.type == "long long") {
      std::memcpy(reinterpret_cast<std::byte*>(words.data()) + param.offset, &size->second,
                  sizeof(size->second));
    }
  }
  return words;
}

void set_size(const OpDefinition& op, std::string_view name, std::int64_t size,
              std::vector<std::uint64_t>& args) {
  for (const Param& param : op.params) {
    if (param.name == name) {
      std::memcpy(reinterpret_cast<std::byte*>(args.data()) + param.offset, &size, sizeof(size));
    }
  }
}

// A variant for THREADSxBLOCKS takes rows of as many blocks of 16; others take any.
std::int64_t columns_of_row(std::string_view row) {
  const std::size_t cross = row.find('x');
  constexpr std::int64_t kAny = 4096;
  return cross == std::string_view::npos
             ? kAny
             : 16 * std::stoll(std::string(row)) * std::stoll(std::string(row.substr(cross + 1)));
}

}  // namespace

TEST_CASE("the buffers of every variant are told before there are any", "[capi]") {
  for (const OpDefinition* op : all_ops()) {
    if (op->name == "allreduce_rmsnorm_quantize") {
      continue;  // its peers' memory comes from a group
    }
    std::vector<std::uint64_t> args = sized_arguments(*op);
    for (const KernelSpec& spec : legal_variants(*op, Target::parse("sm_90a"))) {
      if (op->name == "rmsnorm_quantize") {
        set_size(*op, "cols", columns_of_row(spec.get("row")), args);
      }
      if (op->name == "moe_activation_quantize") {
        set_size(*op, "experts", spec.get("scale") == "expert" ? 8 : 0, args);
      }
      const Answer answer = ask(spec.text(), args, op->args_size, "no such buffer");
      INFO(spec.text() << ": " << answer.message);
      REQUIRE(answer.status == FOURGE_INVALID_ARGUMENT);
      REQUIRE(answer.message.find("has no buffer \"no such buffer\" in this call; it has: ") !=
              std::string::npos);
    }
  }
}

TEST_CASE("a buffer's size without a target, of a variant that not every target has", "[capi]") {
  const OpDefinition& op = find_op("nvfp4_quantize_per_token");
  const Answer codes =
      ask("nvfp4_quantize_per_token[row=cluster]", sized_arguments(op), op.args_size, "codes");
  INFO(codes.message);
  CHECK(codes.status == FOURGE_OK);
  CHECK(codes.bytes == 256 * 4096 / 2);
  const Answer none =
      ask("nvfp4_quantize_per_token[row=square]", sized_arguments(op), op.args_size, "codes");
  CHECK(none.status == FOURGE_INVALID_SPEC);
}

TEST_CASE("columns whose double is no number are refused", "[capi]") {
  const OpDefinition& op = find_op("silu_and_mul_nvfp4_quantize");
  for (const std::int64_t cols : {std::int64_t{1} << 62, (std::int64_t{1} << 62) + 65536}) {
    std::vector<std::uint64_t> args = sized_arguments(op);
    set_size(op, "cols", cols, args);
    const Answer answer = ask("silu_and_mul_nvfp4_quantize", args, op.args_size, "x");
    INFO(answer.message);
    CHECK(answer.status == FOURGE_INVALID_ARGUMENT);
    CHECK(answer.message.find("2^47") != std::string::npos);
  }
}

}  // namespace fourge::tests
