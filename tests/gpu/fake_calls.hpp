// What the entry points of the make-believe libcuda share.
#pragma once

#include <cuda.h>

#include "tests/gpu/fake_cuda.hpp"

namespace fourge::tests::fake {

FakeCuda& state();
CUcontext current();
CUcontext primary_context(CUdevice device);
// The device whose primary context is current; -1: none.
int current_primary();
// Notes the call; what it returns instead of doing anything, if that is not CUDA_SUCCESS.
CUresult record(const char* name);

// Of memory and of peers; null for any other name.
void* find_memory_call(const char* name);
// Of primary contexts.
void* find_primary_call(const char* name);

}  // namespace fourge::tests::fake

#define RECORD(name) \
  if (const CUresult result = fake::record(name); result != CUDA_SUCCESS) return result

// Of calls that stream capture forbids.
#define RECORD_UNSAFE(name)                                                               \
  RECORD(name);                                                                           \
  if (const CUresult result = fake::permit_unsafe(fake::state()); result != CUDA_SUCCESS) \
  return result
