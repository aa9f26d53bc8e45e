// The parser of kernel specs. What it accepts has one canonical text, which it accepts again.
#include <algorithm>
#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <optional>

#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace fourge;

std::optional<KernelSpec> parse(std::string_view text) {
  try {
    return KernelSpec::parse(text, Target::all().front());
  } catch (const Error& error) {
    fuzz::require(error.kind() == ErrorKind::invalid_spec, "a refusal is of kind invalid_spec");
    fuzz::require(error.what()[0] != '\0', "a refusal has a reason");
    return std::nullopt;
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto spec = parse(fuzz::text_of(data, size));
  if (!spec) return 0;
  const std::string text = spec->text();
  const auto again = parse(text);
  fuzz::require(again == spec, "the canonical text parses back");
  fuzz::require(again->text() == text, "there is one canonical text");
  fuzz::require(again->hash() == spec->hash(), "equal specs have equal hashes");
  const std::string name = spec->entry_name();
  fuzz::require(!name.empty() && std::ranges::all_of(name,
                                                     [](char c) {
                                                       return c == '_' || (c >= '0' && c <= '9') ||
                                                              (c >= 'a' && c <= 'z') ||
                                                              (c >= 'A' && c <= 'Z');
                                                     }),
                "the entry's name is an identifier");
  return 0;
}
