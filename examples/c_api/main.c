/* Quantizes one block of numbers to NVFP4 through the C API. The program runs it on the CPU, so that it
 * needs no GPU; quantize_on_stream() is what a program with device memory and a stream calls. */
#include <fourge/c_args.h>
#include <fourge/fourge.h>

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char* what, fourge_error* error) {
  fprintf(stderr, "%s: %s: %s\n%s", what, fourge_status_name(fourge_error_status(error)),
          fourge_error_message(error), fourge_error_log(error));
  fourge_error_free(error);
  return EXIT_FAILURE;
}

/* Device pointers, a CUstream of the current context. Asynchronous. Prepare once and keep the kernel. */
fourge_status quantize_on_stream(const fourge_kernel* kernel, const void* x, uint8_t* codes,
                                 uint8_t* scales, const float* global_scale, int64_t rows,
                                 int64_t cols, void* stream, fourge_error** error) {
  fourge_nvfp4_quantize_args args;
  const fourge_status status = fourge_args_init("nvfp4_quantize", &args, sizeof(args), error);
  if (status != FOURGE_OK) {
    return status;
  }
  args.x = x;
  args.codes = codes;
  args.scales = scales;
  args.global_scale = global_scale;
  args.rows = rows;
  args.cols = cols;
  return fourge_launch(kernel, "nvfp4_quantize", &args, sizeof(args), stream, error);
}

/* bfloat16 of 0, 0.5, 1, ..., 5.5, 6, -6, -0.25, -0. */
static const alignas(32) uint16_t input[16] = {0x0000, 0x3F00, 0x3F80, 0x3FC0, 0x4000, 0x4020,
                                               0x4040, 0x4060, 0x4080, 0x4090, 0x40A0, 0x40B0,
                                               0x40C0, 0xC0C0, 0xBE80, 0x8000};

int main(void) {
  fourge_runtime* runtime = NULL;
  fourge_host_kernel* kernel = NULL;
  fourge_error* error = NULL;
  if (fourge_abi_version() != FOURGE_ABI_VERSION) {
    fprintf(stderr, "libfourge.so has another ABI version\n");
    return EXIT_FAILURE;
  }
  if (fourge_runtime_create(NULL, &runtime, &error) != FOURGE_OK) {
    return fail("runtime", error);
  }
  fourge_status status =
      fourge_prepare_host(runtime, "nvfp4_quantize[in=bf16,layout=linear]", &kernel, &error);
  fourge_runtime_free(runtime); /* the kernel keeps what it needs */
  if (status != FOURGE_OK) {
    return fail("prepare", error);
  }

  alignas(16) uint8_t codes[16] = {0};
  alignas(16) uint8_t scales[16] = {0};
  fourge_nvfp4_quantize_args args;
  status = fourge_args_init("nvfp4_quantize", &args, sizeof(args), &error);
  if (status == FOURGE_OK) {
    args.x = input;
    args.codes = codes;
    args.scales = scales;
    args.global_scale_value = 448.0F; /* 448 * 6 / 6, the largest magnitude */
    args.rows = 1;
    args.cols = 16;
    status = fourge_launch_host(kernel, "nvfp4_quantize", &args, sizeof(args), &error);
  }
  fourge_host_kernel_free(kernel);
  if (status != FOURGE_OK) {
    return fail("launch", error);
  }
  printf("fourge %s: scale %02X, codes", fourge_version(), (unsigned)scales[0]);
  for (int i = 0; i < 8; ++i) {
    printf(" %02X", (unsigned)codes[i]);
  }
  printf("\n");
  return EXIT_SUCCESS;
}
