/* Runtimes without a GPU: refusals, cubins, counters, errors. */
#include <fourge/c_args.h>
#include <fourge/fourge.h>

#include <stdint.h>

#include "tests/capi/check.h"

static void errors(void) {
  CHECK_TEXT(fourge_status_name(FOURGE_OK), "ok");
  CHECK_TEXT(fourge_status_name(FOURGE_INVALID_SPEC), "invalid_spec");
  CHECK_TEXT(fourge_status_name(FOURGE_OUT_OF_MEMORY), "out_of_memory");
  CHECK_TEXT(fourge_status_name(77), "unknown");
  CHECK(fourge_error_status(NULL) == FOURGE_OK);
  CHECK_TEXT(fourge_error_message(NULL), "");
  CHECK_TEXT(fourge_error_log(NULL), "");
  CHECK_TEXT(fourge_error_source_path(NULL), "");
  CHECK(fourge_error_driver_status(NULL) == 0);
  fourge_error_free(NULL);
}

static void no_driver(void) {
  fourge_options* options = NULL;
  fourge_runtime* runtime = NULL;
  fourge_kernel* kernel = NULL;
  const char* target = NULL;
  CHECK_OK(fourge_options_create(&options, &error));
  CHECK_OK(fourge_options_set(options, "driver_library", "/nowhere/libcuda.so.1", &error));
  CHECK_OK(fourge_runtime_create(options, &runtime, &error));
  fourge_options_free(options);
  CHECK_FAILS(fourge_device_target(runtime, &target, &error), FOURGE_LIBRARY_MISSING,
              "/nowhere/libcuda.so.1");
  CHECK_FAILS(fourge_prepare(runtime, "nvfp4_quantize", &kernel, &error), FOURGE_LIBRARY_MISSING,
              "/nowhere/libcuda.so.1");
  CHECK_FAILS(fourge_prepare(runtime, "nvfp4_quantize@sm_90a", &kernel, &error),
              FOURGE_LIBRARY_MISSING, "/nowhere/libcuda.so.1");
  CHECK_FAILS(fourge_prepare(runtime, "nvfp4_quantize[color=red]@sm_90a", &kernel, &error),
              FOURGE_INVALID_SPEC, "color");
  CHECK_FAILS(fourge_prepare_for_stream(runtime, "nvfp4_quantize@sm_0", NULL, &kernel, &error),
              FOURGE_INVALID_SPEC, "sm_0");
  CHECK_FAILS(fourge_prepare(NULL, "nvfp4_quantize", &kernel, &error), FOURGE_INVALID_ARGUMENT,
              "runtime is NULL");
  CHECK_FAILS(fourge_prepare(runtime, "nvfp4_quantize", NULL, &error), FOURGE_INVALID_ARGUMENT,
              "kernel is NULL");
  CHECK(kernel == NULL && target == NULL);
  CHECK_FAILS(fourge_launch(NULL, "nvfp4_quantize", NULL, 0, NULL, &error), FOURGE_INVALID_ARGUMENT,
              "kernel is NULL");
  /* The status alone will do. */
  CHECK(fourge_prepare(runtime, "nothing", &kernel, NULL) == FOURGE_INVALID_SPEC);
  fourge_kernel_free(NULL);
  fourge_runtime_free(runtime);
}

static void counters(void) {
  fourge_runtime* runtime = NULL;
  CHECK_OK(fourge_runtime_create(NULL, &runtime, &error));
  /* A caller that knows more members than the library, and one that knows fewer. */
  struct {
    fourge_stats stats;
    uint64_t newer;
  } large;
  memset(&large, 0xA5, sizeof(large));
  large.stats.size = sizeof(large);
  CHECK_OK(fourge_runtime_stats(runtime, &large.stats, &error));
  CHECK(large.stats.size == sizeof(large) && large.newer == 0 && large.stats.compiles == 0);
  struct {
    size_t size;
    uint64_t memory_hits;
    uint64_t not_written;
  } small = {16, 7, 7};
  CHECK_OK(fourge_runtime_stats(runtime, (fourge_stats*)(void*)&small, &error));
  CHECK(small.size == 16 && small.memory_hits == 0 && small.not_written == 7);

  size_t length = 0;
  char text[64];
  CHECK_OK(fourge_runtime_metrics(runtime, NULL, 0, &length, &error));
  CHECK(length > sizeof(text));
  CHECK_OK(fourge_runtime_metrics(runtime, text, sizeof(text), &length, &error));
  CHECK(strlen(text) == sizeof(text) - 1 && strncmp(text, "# HELP fourge_", 14) == 0);
  fourge_runtime_free(runtime);
}

/* Needs NVRTC. */
static void cubin(void) {
  fourge_runtime* runtime = NULL;
  fourge_artifact* artifact = NULL;
  fourge_error* failure = NULL;
  CHECK_OK(fourge_runtime_create(NULL, &runtime, &error));
  const fourge_status status = fourge_build(runtime, "row_amax@sm_90a", &artifact, &failure);
  if (status == FOURGE_LIBRARY_MISSING) {
    fprintf(stderr, "not tested: cubins (%s)\n", fourge_error_message(failure));
    fourge_error_free(failure);
    fourge_runtime_free(runtime);
    return;
  }
  CHECK(status == FOURGE_OK);
  fourge_runtime_free(runtime); /* the artifact does not need it */
  if (artifact != NULL) {
    size_t size = 0;
    const char* bytes = fourge_artifact_cubin(artifact, &size);
    CHECK(size > 64 && memcmp(bytes, "\177ELF", 4) == 0);
    CHECK(strncmp(fourge_artifact_spec(artifact), "row_amax[", 9) == 0);
    CHECK(strstr(fourge_artifact_source(artifact), fourge_artifact_entry(artifact)) != NULL);
    CHECK(strlen(fourge_artifact_key(artifact)) == 64);
    CHECK(fourge_artifact_origin(artifact) == FOURGE_ORIGIN_DISK ||
          fourge_artifact_origin(artifact) == FOURGE_ORIGIN_COMPILED);
  }
  fourge_artifact_free(artifact);
}

void test_runtime(void) {
  errors();
  no_driver();
  counters();
  cubin();
}
