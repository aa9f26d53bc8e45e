// What a program that runs on the make-believe libcuda, and cannot reach into its state, tells it by the environment.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace fourge::tests::fake {

// FOURGE_FAKE_MEMORY_MIB: of each device.
inline std::optional<std::size_t> environment_memory() {
  const char* const mib = std::getenv("FOURGE_FAKE_MEMORY_MIB");
  if (mib == nullptr) return std::nullopt;
  return std::size_t{std::strtoull(mib, nullptr, 10)} << 20;
}

// FOURGE_FAKE_PARAMETERS: the sizes of every kernel's parameters, each aligned to itself, as "8884".
inline const char* environment_parameters() { return std::getenv("FOURGE_FAKE_PARAMETERS"); }

inline CUresult environment_parameter(const char* sizes, std::size_t index, std::size_t* offset,
                                      std::size_t* size) {
  if (index >= std::strlen(sizes)) return CUDA_ERROR_INVALID_VALUE;
  *offset = 0;
  for (std::size_t i = 0; i <= index; ++i) {
    *size = static_cast<std::size_t>(sizes[i] - '0');
    *offset = (*offset + *size - 1) / *size * *size;
    if (i != index) *offset += *size;
  }
  return CUDA_SUCCESS;
}

}  // namespace fourge::tests::fake
