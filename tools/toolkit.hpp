// The parts of the CUDA toolkit that the command line uses beside the library: NVRTC for PTX, and a
// disassembler.
#pragma once

#include <fourge/kernel_spec.hpp>
#include <fourge/options.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "jit/nvrtc_location.hpp"

namespace fourge::tools {

jit::NvrtcLocation find_nvrtc(const Options& options);

// "13.0". Loads the library and compiles an empty kernel with it, which also shows that the parts
// which it loads itself are there. Throws Error(library_missing) or CompileError.
std::string try_nvrtc(const jit::NvrtcLocation& location);

// The PTX of the spec's source, compiled as its cubin is, for the virtual architecture of its
// target. Throws Error(library_missing) or CompileError.
std::string compile_to_ptx(const KernelSpec& spec, const Options& options);

struct Disassembler {
  std::string path;
  std::vector<std::string> arguments;  // before the cubin's path
};

// nvdisasm or cuobjdump from PATH, then CUDA_HOME/bin, then /usr/local/cuda/bin.
std::optional<Disassembler> find_disassembler(const Options& options,
                                              std::vector<std::string>* searched = nullptr);

// SASS as text. Throws Error(library_missing) if there is no disassembler, Error(internal) if it
// refuses the cubin.
std::string disassemble(std::span<const std::byte> cubin, const Options& options);

// The first executable of that name in PATH (a name with a slash: itself); empty if there is none.
std::string find_program(const std::string& name);

}  // namespace fourge::tools
