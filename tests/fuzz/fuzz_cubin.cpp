// The reader of cubins. Whatever it accepts names its kernels and parameters without gaps; the rest it
// refuses by an Error.
#include <fourge/error.hpp>

#include "jit/cubin.hpp"
#include "tests/fuzz/fuzz_target.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fourge;
  try {
    const jit::CubinInfo info = jit::parse_cubin(fuzz::bytes_of(data, size));
    fuzz::require(info.target.text().starts_with("sm_"), "there is a target");
    for (const jit::CubinKernel& kernel : info.kernels) {
      fuzz::require(info.find(kernel.name) != nullptr, "a kernel is found by its name");
      fuzz::require(kernel.code_bytes <= size, "its code lies in the file");
      for (std::size_t i = 0; i < kernel.params.size(); ++i) {
        fuzz::require(kernel.params[i].index == i, "parameters have no gaps");
      }
    }
  } catch (const Error& error) {
    fuzz::require(error.kind() == ErrorKind::invalid_argument, "a refusal is of its kind");
    fuzz::require(error.what()[0] != '\0', "a refusal has a reason");
  }
  return 0;
}
