// Manifests: what is accepted has a text that parses back to the same, and gives legal kernels.
#include <fourge/error.hpp>
#include <fourge/manifest.hpp>

#include <string>

#include "tests/fuzz/fuzz_target.hpp"

using namespace fourge;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const Manifest manifest = Manifest::parse(fuzz::text_of(data, size), "m");
    const std::string text = manifest.text();
    const Manifest again = Manifest::parse(text);
    fuzz::require(again.text() == text, "the text parses back to the same");
    fuzz::require(again.size() == manifest.size(), "no spec is lost");
    for (const ManifestKernel& kernel : manifest.kernels()) {
      kernel.spec.check();
      fuzz::require(!kernel.fallback || kernel.fallback->same_results(kernel.spec),
                    "a fallback variant has the same results");
    }
  } catch (const Error& error) {
    fuzz::require(
        error.kind() == ErrorKind::invalid_spec || error.kind() == ErrorKind::invalid_argument,
        "a refusal is of the input");
    fuzz::require(std::string(error.what()).rfind("m:", 0) == 0, "a refusal names file and line");
  }
  return 0;
}
