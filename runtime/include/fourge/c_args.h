/* fourge's C API, part 3: the argument structs of the built-in operations. Made by
 * `fourge variants --c-args`; do not edit. C11; also C++. What a member means is in the operation's C++
 * header (<fourge/nvfp4_quantize.hpp> and so on), under the same name.
 *
 * Structs begin as fourge_args_init() leaves them, not as zeros: batches is 1, for example. The number
 * behind a member is its offset. A change of one is a change of FOURGE_ABI_VERSION. */
#ifndef FOURGE_C_ARGS_H
#define FOURGE_C_ARGS_H

#include <stdint.h>

/* clang-format off */

#if defined(__cplusplus)
#define FOURGE_C_ARGS_SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type)
#else
#define FOURGE_C_ARGS_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#endif

/* 16-element blocks of E2M1 with E4M3 block scales and one FP32 global scale */
typedef struct fourge_nvfp4_quantize_args {
  const void* x; /* 0 */
  uint8_t* codes; /* 8 */
  uint8_t* scales; /* 16 */
  const float* global_scale; /* 24 */
  float global_scale_value; /* 32 */
  int64_t rows; /* 40 */
  int64_t cols; /* 48 */
  int64_t batches; /* 56 */
} fourge_nvfp4_quantize_args;
FOURGE_C_ARGS_SIZE(fourge_nvfp4_quantize_args, 64);

/* experts with a row mask and a global scale each, quantized to NVFP4 */
typedef struct fourge_nvfp4_quantize_grouped_args {
  const void* x; /* 0 */
  uint8_t* codes; /* 8 */
  uint8_t* scales; /* 16 */
  const float* global_scales; /* 24 */
  const int32_t* valid_rows; /* 32 */
  int64_t experts; /* 40 */
  int64_t rows; /* 48 */
  int64_t cols; /* 56 */
} fourge_nvfp4_quantize_grouped_args;
FOURGE_C_ARGS_SIZE(fourge_nvfp4_quantize_grouped_args, 64);

/* SiLU of one half of a row times the other, quantized to NVFP4 */
typedef struct fourge_silu_and_mul_nvfp4_quantize_args {
  const void* x; /* 0 */
  uint8_t* codes; /* 8 */
  uint8_t* scales; /* 16 */
  const float* global_scale; /* 24 */
  float global_scale_value; /* 32 */
  int64_t rows; /* 40 */
  int64_t cols; /* 48 */
} fourge_silu_and_mul_nvfp4_quantize_args;
FOURGE_C_ARGS_SIZE(fourge_silu_and_mul_nvfp4_quantize_args, 56);

/* 32-element blocks of E2M1 with power-of-two (UE8M0) block scales */
typedef struct fourge_mxfp4_quantize_args {
  const void* x; /* 0 */
  uint8_t* codes; /* 8 */
  uint8_t* scales; /* 16 */
  int64_t rows; /* 24 */
  int64_t cols; /* 32 */
} fourge_mxfp4_quantize_args;
FOURGE_C_ARGS_SIZE(fourge_mxfp4_quantize_args, 40);

/* 32-element blocks of E4M3 with power-of-two (UE8M0) block scales, columns padded */
typedef struct fourge_mxfp8_quantize_args {
  const void* x; /* 0 */
  uint8_t* data; /* 8 */
  uint8_t* scales; /* 16 */
  int64_t rows; /* 24 */
  int64_t cols; /* 32 */
  int64_t padded_cols; /* 40 */
} fourge_mxfp8_quantize_args;
FOURGE_C_ARGS_SIZE(fourge_mxfp8_quantize_args, 48);

/* E4M3 with one FP32 scale for 128 elements of a row */
typedef struct fourge_fp8_quantize_1x128_args {
  const void* x; /* 0 */
  uint8_t* data; /* 8 */
  float* scales; /* 16 */
  int64_t rows; /* 24 */
  int64_t cols; /* 32 */
  float eps; /* 40 */
} fourge_fp8_quantize_1x128_args;
FOURGE_C_ARGS_SIZE(fourge_fp8_quantize_1x128_args, 48);

/* E4M3 with one FP32 scale for a tile of 128 rows and 128 columns */
typedef struct fourge_fp8_quantize_128x128_args {
  const void* x; /* 0 */
  uint8_t* data; /* 8 */
  float* scales; /* 16 */
  int64_t rows; /* 24 */
  int64_t cols; /* 32 */
  float eps; /* 40 */
} fourge_fp8_quantize_128x128_args;
FOURGE_C_ARGS_SIZE(fourge_fp8_quantize_128x128_args, 48);

/* NVFP4 with one scale a row, computed from the row by the kernel */
typedef struct fourge_nvfp4_quantize_per_token_args {
  const void* x; /* 0 */
  uint8_t* codes; /* 8 */
  uint8_t* scales; /* 16 */
  float* token_scales; /* 24 */
  const int32_t* row_map; /* 32 */
  float global_scale_inverse; /* 40 */
  int64_t rows; /* 48 */
  int64_t cols; /* 56 */
  int64_t mapped_rows; /* 64 */
} fourge_nvfp4_quantize_per_token_args;
FOURGE_C_ARGS_SIZE(fourge_nvfp4_quantize_per_token_args, 72);

/* largest magnitude of each row, times a factor; optionally of the rows of a map */
typedef struct fourge_row_amax_args {
  const void* x; /* 0 */
  float* amax; /* 8 */
  const int32_t* row_map; /* 16 */
  float scale; /* 24 */
  int64_t rows; /* 32 */
  int64_t cols; /* 40 */
  int64_t mapped_rows; /* 48 */
} fourge_row_amax_args;
FOURGE_C_ARGS_SIZE(fourge_row_amax_args, 56);

/* a tensor's largest magnitude and its NVFP4 encode scale, kept on the device */
typedef struct fourge_global_scale_args {
  const void* x; /* 0 */
  float* amax; /* 8 */
  float* global_scale; /* 16 */
  uint32_t* workspace; /* 24 */
  int64_t elements; /* 32 */
} fourge_global_scale_args;
FOURGE_C_ARGS_SIZE(fourge_global_scale_args, 40);

/* block scales from the linear to a tiled layout */
typedef struct fourge_scale_interleave_args {
  const uint8_t* linear; /* 0 */
  uint8_t* tiled; /* 8 */
  int64_t rows; /* 16 */
  int64_t columns; /* 24 */
  int64_t batches; /* 32 */
} fourge_scale_interleave_args;
FOURGE_C_ARGS_SIZE(fourge_scale_interleave_args, 40);

/* block scales from a tiled to the linear layout */
typedef struct fourge_scale_deinterleave_args {
  const uint8_t* tiled; /* 0 */
  uint8_t* linear; /* 8 */
  int64_t rows; /* 16 */
  int64_t columns; /* 24 */
  int64_t batches; /* 32 */
} fourge_scale_deinterleave_args;
FOURGE_C_ARGS_SIZE(fourge_scale_deinterleave_args, 40);

/* NVFP4 codes, block scales and global or row scales back to floats */
typedef struct fourge_nvfp4_dequantize_args {
  const uint8_t* codes; /* 0 */
  const uint8_t* scales; /* 8 */
  void* out; /* 16 */
  const float* global_scale; /* 24 */
  float global_scale_value; /* 32 */
  int64_t rows; /* 40 */
  int64_t cols; /* 48 */
  int64_t batches; /* 56 */
} fourge_nvfp4_dequantize_args;
FOURGE_C_ARGS_SIZE(fourge_nvfp4_dequantize_args, 64);

/* MXFP4 codes and block scales back to floats */
typedef struct fourge_mxfp4_dequantize_args {
  const uint8_t* codes; /* 0 */
  const uint8_t* scales; /* 8 */
  void* out; /* 16 */
  int64_t rows; /* 24 */
  int64_t cols; /* 32 */
} fourge_mxfp4_dequantize_args;
FOURGE_C_ARGS_SIZE(fourge_mxfp4_dequantize_args, 40);

/* MXFP8 data and block scales back to floats */
typedef struct fourge_mxfp8_dequantize_args {
  const uint8_t* data; /* 0 */
  const uint8_t* scales; /* 8 */
  void* out; /* 16 */
  int64_t rows; /* 24 */
  int64_t cols; /* 32 */
  int64_t padded_cols; /* 40 */
} fourge_mxfp8_dequantize_args;
FOURGE_C_ARGS_SIZE(fourge_mxfp8_dequantize_args, 48);

/* SwiGLU of permuted rows, E4M3 with 1x128 scales in and out */
typedef struct fourge_moe_swiglu_fp8_block_args {
  const uint8_t* x; /* 0 */
  const float* x_scales; /* 8 */
  uint8_t* y; /* 16 */
  float* y_scales; /* 24 */
  const int32_t* row_map; /* 32 */
  const int32_t* padded_rows; /* 40 */
  int64_t tokens; /* 48 */
  int64_t top_k; /* 56 */
  int64_t cols; /* 64 */
  int64_t capacity; /* 72 */
  float limit; /* 80 */
  float alpha; /* 84 */
  float beta; /* 88 */
} fourge_moe_swiglu_fp8_block_args;
FOURGE_C_ARGS_SIZE(fourge_moe_swiglu_fp8_block_args, 96);

/* rows of tokens copied to the rows of their experts, with 1x128 scales */
typedef struct fourge_moe_permute_args {
  const void* x; /* 0 */
  const float* x_scales; /* 8 */
  void* y; /* 16 */
  float* y_scales; /* 24 */
  const int32_t* row_entries; /* 32 */
  const int32_t* padded_rows; /* 40 */
  int64_t tokens; /* 48 */
  int64_t top_k; /* 56 */
  int64_t cols; /* 64 */
  int64_t capacity; /* 72 */
  const int32_t* rows; /* 80 */
} fourge_moe_permute_args;
FOURGE_C_ARGS_SIZE(fourge_moe_permute_args, 88);

/* weighted sum of the rows of a token's experts, in a fixed order */
typedef struct fourge_moe_finalize_args {
  const void* x; /* 0 */
  void* out; /* 8 */
  const int32_t* rows; /* 16 */
  const void* weights; /* 24 */
  const void* bias; /* 32 */
  const int32_t* expert_ids; /* 40 */
  const void* shared; /* 48 */
  int64_t tokens; /* 56 */
  int64_t top_k; /* 64 */
  int64_t cols; /* 72 */
  int64_t x_cols; /* 80 */
  int64_t capacity; /* 88 */
  int64_t experts; /* 96 */
} fourge_moe_finalize_args;
FOURGE_C_ARGS_SIZE(fourge_moe_finalize_args, 104);

/* rows of tokens quantized, and copied to the rows of their experts */
typedef struct fourge_moe_expand_quantize_args {
  const void* x; /* 0 */
  uint8_t* out; /* 8 */
  uint8_t* scales; /* 16 */
  float* token_scales; /* 24 */
  const float* global_scale; /* 32 */
  const int32_t* rows; /* 40 */
  const int32_t* expert_ids; /* 48 */
  const int64_t* expert_rows; /* 56 */
  const int32_t* row_entries; /* 64 */
  int64_t tokens; /* 72 */
  int64_t top_k; /* 80 */
  int64_t cols; /* 88 */
  int64_t capacity; /* 96 */
  int64_t experts; /* 104 */
  int64_t first_expert; /* 112 */
  uint8_t* workspace; /* 120 */
} fourge_moe_expand_quantize_args;
FOURGE_C_ARGS_SIZE(fourge_moe_expand_quantize_args, 128);

/* RMSNorm, with the addition of a residual, quantized to NVFP4, MXFP8 or FP8 */
typedef struct fourge_rmsnorm_quantize_args {
  const void* x; /* 0 */
  const void* residual; /* 8 */
  const void* weight; /* 16 */
  uint8_t* q; /* 24 */
  uint8_t* scales; /* 32 */
  float* token_scales; /* 40 */
  void* residual_out; /* 48 */
  void* norm_out; /* 56 */
  const float* scale; /* 64 */
  float scale_value; /* 72 */
  float eps; /* 76 */
  int64_t rows; /* 80 */
  int64_t cols; /* 88 */
} fourge_rmsnorm_quantize_args;
FOURGE_C_ARGS_SIZE(fourge_rmsnorm_quantize_args, 96);

/* activation of experts' rows, quantized to NVFP4, MXFP8 or FP8 */
typedef struct fourge_moe_activation_quantize_args {
  const void* x; /* 0 */
  const void* bias; /* 8 */
  uint8_t* q; /* 16 */
  uint8_t* scales; /* 24 */
  float* token_scales; /* 32 */
  const float* scale; /* 40 */
  const int64_t* expert_rows; /* 48 */
  float scale_value; /* 56 */
  float limit; /* 60 */
  float alpha; /* 64 */
  float beta; /* 68 */
  int64_t rows; /* 72 */
  int64_t cols; /* 80 */
  int64_t experts; /* 88 */
} fourge_moe_activation_quantize_args;
FOURGE_C_ARGS_SIZE(fourge_moe_activation_quantize_args, 96);

/* the experts that each token goes to, and their weights */
typedef struct fourge_moe_route_topk_args {
  const void* logits; /* 0 */
  const float* bias; /* 8 */
  int32_t* ids; /* 16 */
  float* weights; /* 24 */
  float scale; /* 32 */
  int64_t tokens; /* 40 */
  int64_t experts; /* 48 */
  int64_t top_k; /* 56 */
  int64_t groups; /* 64 */
  int64_t kept_groups; /* 72 */
} fourge_moe_route_topk_args;
FOURGE_C_ARGS_SIZE(fourge_moe_route_topk_args, 80);

/* the maps between expanded tokens and experts' rows, by a stable sort */
typedef struct fourge_moe_route_maps_args {
  const int32_t* ids; /* 0 */
  int32_t* rows; /* 8 */
  int32_t* row_entries; /* 16 */
  int64_t* expert_rows; /* 24 */
  int32_t* padded_rows; /* 32 */
  int32_t* tile_experts; /* 40 */
  int32_t* tile_limits; /* 48 */
  int32_t* tiles; /* 56 */
  int64_t tokens; /* 64 */
  int64_t top_k; /* 72 */
  int64_t first_expert; /* 80 */
  int64_t experts; /* 88 */
  int64_t tile; /* 96 */
  int64_t capacity; /* 104 */
} fourge_moe_route_maps_args;
FOURGE_C_ARGS_SIZE(fourge_moe_route_maps_args, 112);

/* sum over GPUs, then residual, RMSNorm and quantization to NVFP4, MXFP8 or FP8 */
typedef struct fourge_allreduce_rmsnorm_quantize_args {
  const void* x; /* 0 */
  const void* residual; /* 8 */
  const void* weight; /* 16 */
  void* sum_out; /* 24 */
  void* residual_out; /* 32 */
  void* norm_out; /* 40 */
  uint8_t* q; /* 48 */
  uint8_t* scales; /* 56 */
  float* token_scales; /* 64 */
  const float* scale; /* 72 */
  float scale_value; /* 80 */
  float eps; /* 84 */
  int64_t rows; /* 88 */
  int64_t cols; /* 96 */
  int32_t rank; /* 104 */
  int32_t multiprocessors; /* 108 */
  void* peer0; /* 112 */
  void* peer1; /* 120 */
  void* peer2; /* 128 */
  void* peer3; /* 136 */
  void* peer4; /* 144 */
  void* peer5; /* 152 */
  void* peer6; /* 160 */
  void* peer7; /* 168 */
  void* control; /* 176 */
  void* report; /* 184 */
  int64_t slot_bytes; /* 192 */
  int64_t input_offset; /* 200 */
  int64_t input_slot_bytes; /* 208 */
  int64_t result_offset; /* 216 */
  int64_t workspace_bytes; /* 224 */
  int64_t deadline_ns; /* 232 */
} fourge_allreduce_rmsnorm_quantize_args;
FOURGE_C_ARGS_SIZE(fourge_allreduce_rmsnorm_quantize_args, 240);

/* X(operation, member), for every member. */
#define FOURGE_C_ARGS_MEMBERS(X) \
  X(nvfp4_quantize, x) \
  X(nvfp4_quantize, codes) \
  X(nvfp4_quantize, scales) \
  X(nvfp4_quantize, global_scale) \
  X(nvfp4_quantize, global_scale_value) \
  X(nvfp4_quantize, rows) \
  X(nvfp4_quantize, cols) \
  X(nvfp4_quantize, batches) \
  X(nvfp4_quantize_grouped, x) \
  X(nvfp4_quantize_grouped, codes) \
  X(nvfp4_quantize_grouped, scales) \
  X(nvfp4_quantize_grouped, global_scales) \
  X(nvfp4_quantize_grouped, valid_rows) \
  X(nvfp4_quantize_grouped, experts) \
  X(nvfp4_quantize_grouped, rows) \
  X(nvfp4_quantize_grouped, cols) \
  X(silu_and_mul_nvfp4_quantize, x) \
  X(silu_and_mul_nvfp4_quantize, codes) \
  X(silu_and_mul_nvfp4_quantize, scales) \
  X(silu_and_mul_nvfp4_quantize, global_scale) \
  X(silu_and_mul_nvfp4_quantize, global_scale_value) \
  X(silu_and_mul_nvfp4_quantize, rows) \
  X(silu_and_mul_nvfp4_quantize, cols) \
  X(mxfp4_quantize, x) \
  X(mxfp4_quantize, codes) \
  X(mxfp4_quantize, scales) \
  X(mxfp4_quantize, rows) \
  X(mxfp4_quantize, cols) \
  X(mxfp8_quantize, x) \
  X(mxfp8_quantize, data) \
  X(mxfp8_quantize, scales) \
  X(mxfp8_quantize, rows) \
  X(mxfp8_quantize, cols) \
  X(mxfp8_quantize, padded_cols) \
  X(fp8_quantize_1x128, x) \
  X(fp8_quantize_1x128, data) \
  X(fp8_quantize_1x128, scales) \
  X(fp8_quantize_1x128, rows) \
  X(fp8_quantize_1x128, cols) \
  X(fp8_quantize_1x128, eps) \
  X(fp8_quantize_128x128, x) \
  X(fp8_quantize_128x128, data) \
  X(fp8_quantize_128x128, scales) \
  X(fp8_quantize_128x128, rows) \
  X(fp8_quantize_128x128, cols) \
  X(fp8_quantize_128x128, eps) \
  X(nvfp4_quantize_per_token, x) \
  X(nvfp4_quantize_per_token, codes) \
  X(nvfp4_quantize_per_token, scales) \
  X(nvfp4_quantize_per_token, token_scales) \
  X(nvfp4_quantize_per_token, row_map) \
  X(nvfp4_quantize_per_token, global_scale_inverse) \
  X(nvfp4_quantize_per_token, rows) \
  X(nvfp4_quantize_per_token, cols) \
  X(nvfp4_quantize_per_token, mapped_rows) \
  X(row_amax, x) \
  X(row_amax, amax) \
  X(row_amax, row_map) \
  X(row_amax, scale) \
  X(row_amax, rows) \
  X(row_amax, cols) \
  X(row_amax, mapped_rows) \
  X(global_scale, x) \
  X(global_scale, amax) \
  X(global_scale, global_scale) \
  X(global_scale, workspace) \
  X(global_scale, elements) \
  X(scale_interleave, linear) \
  X(scale_interleave, tiled) \
  X(scale_interleave, rows) \
  X(scale_interleave, columns) \
  X(scale_interleave, batches) \
  X(scale_deinterleave, tiled) \
  X(scale_deinterleave, linear) \
  X(scale_deinterleave, rows) \
  X(scale_deinterleave, columns) \
  X(scale_deinterleave, batches) \
  X(nvfp4_dequantize, codes) \
  X(nvfp4_dequantize, scales) \
  X(nvfp4_dequantize, out) \
  X(nvfp4_dequantize, global_scale) \
  X(nvfp4_dequantize, global_scale_value) \
  X(nvfp4_dequantize, rows) \
  X(nvfp4_dequantize, cols) \
  X(nvfp4_dequantize, batches) \
  X(mxfp4_dequantize, codes) \
  X(mxfp4_dequantize, scales) \
  X(mxfp4_dequantize, out) \
  X(mxfp4_dequantize, rows) \
  X(mxfp4_dequantize, cols) \
  X(mxfp8_dequantize, data) \
  X(mxfp8_dequantize, scales) \
  X(mxfp8_dequantize, out) \
  X(mxfp8_dequantize, rows) \
  X(mxfp8_dequantize, cols) \
  X(mxfp8_dequantize, padded_cols) \
  X(moe_swiglu_fp8_block, x) \
  X(moe_swiglu_fp8_block, x_scales) \
  X(moe_swiglu_fp8_block, y) \
  X(moe_swiglu_fp8_block, y_scales) \
  X(moe_swiglu_fp8_block, row_map) \
  X(moe_swiglu_fp8_block, padded_rows) \
  X(moe_swiglu_fp8_block, tokens) \
  X(moe_swiglu_fp8_block, top_k) \
  X(moe_swiglu_fp8_block, cols) \
  X(moe_swiglu_fp8_block, capacity) \
  X(moe_swiglu_fp8_block, limit) \
  X(moe_swiglu_fp8_block, alpha) \
  X(moe_swiglu_fp8_block, beta) \
  X(moe_permute, x) \
  X(moe_permute, x_scales) \
  X(moe_permute, y) \
  X(moe_permute, y_scales) \
  X(moe_permute, row_entries) \
  X(moe_permute, padded_rows) \
  X(moe_permute, tokens) \
  X(moe_permute, top_k) \
  X(moe_permute, cols) \
  X(moe_permute, capacity) \
  X(moe_permute, rows) \
  X(moe_finalize, x) \
  X(moe_finalize, out) \
  X(moe_finalize, rows) \
  X(moe_finalize, weights) \
  X(moe_finalize, bias) \
  X(moe_finalize, expert_ids) \
  X(moe_finalize, shared) \
  X(moe_finalize, tokens) \
  X(moe_finalize, top_k) \
  X(moe_finalize, cols) \
  X(moe_finalize, x_cols) \
  X(moe_finalize, capacity) \
  X(moe_finalize, experts) \
  X(moe_expand_quantize, x) \
  X(moe_expand_quantize, out) \
  X(moe_expand_quantize, scales) \
  X(moe_expand_quantize, token_scales) \
  X(moe_expand_quantize, global_scale) \
  X(moe_expand_quantize, rows) \
  X(moe_expand_quantize, expert_ids) \
  X(moe_expand_quantize, expert_rows) \
  X(moe_expand_quantize, row_entries) \
  X(moe_expand_quantize, tokens) \
  X(moe_expand_quantize, top_k) \
  X(moe_expand_quantize, cols) \
  X(moe_expand_quantize, capacity) \
  X(moe_expand_quantize, experts) \
  X(moe_expand_quantize, first_expert) \
  X(moe_expand_quantize, workspace) \
  X(rmsnorm_quantize, x) \
  X(rmsnorm_quantize, residual) \
  X(rmsnorm_quantize, weight) \
  X(rmsnorm_quantize, q) \
  X(rmsnorm_quantize, scales) \
  X(rmsnorm_quantize, token_scales) \
  X(rmsnorm_quantize, residual_out) \
  X(rmsnorm_quantize, norm_out) \
  X(rmsnorm_quantize, scale) \
  X(rmsnorm_quantize, scale_value) \
  X(rmsnorm_quantize, eps) \
  X(rmsnorm_quantize, rows) \
  X(rmsnorm_quantize, cols) \
  X(moe_activation_quantize, x) \
  X(moe_activation_quantize, bias) \
  X(moe_activation_quantize, q) \
  X(moe_activation_quantize, scales) \
  X(moe_activation_quantize, token_scales) \
  X(moe_activation_quantize, scale) \
  X(moe_activation_quantize, expert_rows) \
  X(moe_activation_quantize, scale_value) \
  X(moe_activation_quantize, limit) \
  X(moe_activation_quantize, alpha) \
  X(moe_activation_quantize, beta) \
  X(moe_activation_quantize, rows) \
  X(moe_activation_quantize, cols) \
  X(moe_activation_quantize, experts) \
  X(moe_route_topk, logits) \
  X(moe_route_topk, bias) \
  X(moe_route_topk, ids) \
  X(moe_route_topk, weights) \
  X(moe_route_topk, scale) \
  X(moe_route_topk, tokens) \
  X(moe_route_topk, experts) \
  X(moe_route_topk, top_k) \
  X(moe_route_topk, groups) \
  X(moe_route_topk, kept_groups) \
  X(moe_route_maps, ids) \
  X(moe_route_maps, rows) \
  X(moe_route_maps, row_entries) \
  X(moe_route_maps, expert_rows) \
  X(moe_route_maps, padded_rows) \
  X(moe_route_maps, tile_experts) \
  X(moe_route_maps, tile_limits) \
  X(moe_route_maps, tiles) \
  X(moe_route_maps, tokens) \
  X(moe_route_maps, top_k) \
  X(moe_route_maps, first_expert) \
  X(moe_route_maps, experts) \
  X(moe_route_maps, tile) \
  X(moe_route_maps, capacity) \
  X(allreduce_rmsnorm_quantize, x) \
  X(allreduce_rmsnorm_quantize, residual) \
  X(allreduce_rmsnorm_quantize, weight) \
  X(allreduce_rmsnorm_quantize, sum_out) \
  X(allreduce_rmsnorm_quantize, residual_out) \
  X(allreduce_rmsnorm_quantize, norm_out) \
  X(allreduce_rmsnorm_quantize, q) \
  X(allreduce_rmsnorm_quantize, scales) \
  X(allreduce_rmsnorm_quantize, token_scales) \
  X(allreduce_rmsnorm_quantize, scale) \
  X(allreduce_rmsnorm_quantize, scale_value) \
  X(allreduce_rmsnorm_quantize, eps) \
  X(allreduce_rmsnorm_quantize, rows) \
  X(allreduce_rmsnorm_quantize, cols) \
  X(allreduce_rmsnorm_quantize, rank) \
  X(allreduce_rmsnorm_quantize, multiprocessors) \
  X(allreduce_rmsnorm_quantize, peer0) \
  X(allreduce_rmsnorm_quantize, peer1) \
  X(allreduce_rmsnorm_quantize, peer2) \
  X(allreduce_rmsnorm_quantize, peer3) \
  X(allreduce_rmsnorm_quantize, peer4) \
  X(allreduce_rmsnorm_quantize, peer5) \
  X(allreduce_rmsnorm_quantize, peer6) \
  X(allreduce_rmsnorm_quantize, peer7) \
  X(allreduce_rmsnorm_quantize, control) \
  X(allreduce_rmsnorm_quantize, report) \
  X(allreduce_rmsnorm_quantize, slot_bytes) \
  X(allreduce_rmsnorm_quantize, input_offset) \
  X(allreduce_rmsnorm_quantize, input_slot_bytes) \
  X(allreduce_rmsnorm_quantize, result_offset) \
  X(allreduce_rmsnorm_quantize, workspace_bytes) \
  X(allreduce_rmsnorm_quantize, deadline_ns)

#undef FOURGE_C_ARGS_SIZE

#endif /* FOURGE_C_ARGS_H */
