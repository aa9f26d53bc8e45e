// The GNU build id of an ELF shared library: what the linker computed over its contents. It tells
// two builds of NVRTC apart that report the same version, and is read without loading the library.
#pragma once

#include <optional>
#include <string>

namespace fourge::jit {

// Lower-case hex; nullopt if the file cannot be read, is no 64-bit ELF file or carries no build id.
std::optional<std::string> read_build_id(const std::string& path);

}  // namespace fourge::jit
