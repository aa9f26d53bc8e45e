/* A kernel that runs on the CPU, launched from C. */
#include <fourge/c_args.h>
#include <fourge/fourge.h>

#include <stdalign.h>
#include <stdint.h>

#include "tests/capi/check.h"

/* bfloat16 of 0, 0.5, 1, ..., 5.5, 6, -6, -0.25, -0, and their codes for the block scale 448. */
static alignas(32) uint16_t x[16] = {0x0000, 0x3F00, 0x3F80, 0x3FC0, 0x4000, 0x4020,
                                     0x4040, 0x4060, 0x4080, 0x4090, 0x40A0, 0x40B0,
                                     0x40C0, 0xC0C0, 0xBE80, 0x8000};
static const uint8_t expected[8] = {0x10, 0x32, 0x44, 0x65, 0x66, 0x76, 0xF7, 0x88};

static int messages = 0;
static void count_message(void* user, int32_t level, const char* text, size_t length) {
  messages += user == &messages && level >= FOURGE_LOG_DEBUG && level <= FOURGE_LOG_ERROR &&
              strlen(text) == length;
}

static fourge_nvfp4_quantize_args arguments(uint8_t* codes, uint8_t* scales) {
  fourge_nvfp4_quantize_args args;
  CHECK_OK(fourge_args_init("nvfp4_quantize", &args, sizeof(args), &error));
  args.x = x;
  args.codes = codes;
  args.scales = scales;
  args.global_scale_value = 448.0F;
  args.rows = 1;
  args.cols = 16;
  return args;
}

void test_host_execution(void) {
  fourge_options* options = NULL;
  fourge_runtime* runtime = NULL;
  fourge_host_kernel* kernel = NULL;
  CHECK_OK(fourge_options_from_environment(&options, &error));
  CHECK_OK(fourge_options_set(options, "cache_directory", "/dev/null/no-directory", &error));
  CHECK_OK(fourge_options_set_log(options, count_message, &messages, &error));
  CHECK_OK(fourge_runtime_create(options, &runtime, &error));
  fourge_options_free(options);
  CHECK_OK(fourge_prepare_host(runtime, "nvfp4_quantize[layout=linear]", &kernel, &error));
  if (kernel == NULL) {
    fourge_runtime_free(runtime);
    return;
  }
  CHECK(messages > 0);          /* that the cache cannot be used */
  fourge_runtime_free(runtime); /* the kernel keeps it alive */
  CHECK(strstr(fourge_host_kernel_spec(kernel), "layout=linear") != NULL);
  CHECK(strstr(fourge_host_kernel_spec(kernel), "@sm_90a") != NULL);

  alignas(16) uint8_t codes[16] = {0};
  alignas(16) uint8_t scales[16] = {0};
  fourge_nvfp4_quantize_args args = arguments(codes, scales);
  CHECK_OK(fourge_launch_host(kernel, "nvfp4_quantize", &args, sizeof(args), &error));
  CHECK(memcmp(codes, expected, sizeof(expected)) == 0);
  CHECK(scales[0] == 0x7E);

  CHECK_FAILS(fourge_launch_host(kernel, "row_amax", &args, sizeof(args), &error),
              FOURGE_INVALID_ARGUMENT, "row_amax");
  CHECK_FAILS(fourge_launch_host(kernel, "nvfp4_quantize", &args, sizeof(args) - 1, &error),
              FOURGE_INVALID_ARGUMENT, "63 bytes");
  CHECK_FAILS(fourge_launch_host(kernel, "nvfp4_quantize", NULL, sizeof(args), &error),
              FOURGE_INVALID_ARGUMENT, "args is NULL");
  args.x = (const uint8_t*)x + 2;
  CHECK_FAILS(fourge_launch_host(kernel, "nvfp4_quantize", &args, sizeof(args), &error),
              FOURGE_INVALID_ARGUMENT, "aligned");
  fourge_host_kernel_free(kernel);
}
