// Uses the C++ API of an installed fourge; an exception crosses the library's edge.
#include <fourge/error.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/runtime.hpp>

#include <iostream>

int main() {
  fourge::Options options;
  fourge::Runtime runtime(options);
  try {
    fourge::KernelSpec::parse("nothing@sm_90a");
  } catch (const fourge::Error& error) {
    const auto spec = fourge::KernelSpec::parse("nvfp4_quantize[layout=8x4]@sm_90a");
    // A result that comes later, and is not wanted: a template that the library has instances of.
    const fourge::PendingArtifact pending = runtime.build_async(spec);
    pending.cancel();
    pending.wait();
    try {
      if (pending.get()->cubin.empty()) return 1;
    } catch (const fourge::Error& late) {
      if (late.kind() != fourge::ErrorKind::cancelled) std::cerr << late.what() << "\n";
    }
    std::cout << fourge::to_string(error.kind()) << " " << fourge::generate_source(spec).empty()
              << runtime.stats().compiles << "\n";
  }
}
