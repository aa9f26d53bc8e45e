// The three kernels of the comparison, as NVRTC gets them. Included last. A thread strides over blocks
// or bytes.
#pragma once

extern "C" __global__ void random_blocks(unsigned short* x, long long blocks,
                                         unsigned long long seed, int type) {
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long block = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
       block < blocks; block += step) {
    for (int i = 0; i < 16; ++i) {
      x[block * 16 + i] = static_cast<unsigned short>(slow::random_element(seed, block, i, type));
    }
  }
}

extern "C" __global__ void slow_quantize(const unsigned short* x, unsigned char* codes,
                                         unsigned char* scales, long long blocks,
                                         float global_scale, int type, int mode) {
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long block = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
       block < blocks; block += step) {
    slow::quantize(x, codes, scales, block, type, mode, global_scale);
  }
}

// Adds the number of bytes that differ.
extern "C" __global__ void count_differences(const unsigned char* a, const unsigned char* b,
                                             unsigned long long* count, long long bytes) {
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  unsigned long long different = 0;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < bytes;
       i += step) {
    different += a[i] != b[i] ? 1 : 0;
  }
  if (different != 0) {
    atomicAdd(count, different);
  }
}
