/* Manifests, freezing and background requests, as far as they need no GPU. */
#include <fourge/fourge.h>

#include <stdint.h>

#include "tests/capi/check.h"

static const char* const manifest = "{\"fourge_manifest\": 1, \"specs\": [\"row_amax[in=bf16]\"]}";

static fourge_serving status_of(const fourge_runtime* runtime) {
  fourge_serving serving = {0};
  serving.size = sizeof(serving);
  CHECK_OK(fourge_serving_status(runtime, &serving, &error));
  return serving;
}

static void states(fourge_runtime* runtime) {
  fourge_prepare_report report = {sizeof(report), 7, 7, 7};
  CHECK(status_of(runtime).ready == 0);
  CHECK_FAILS(fourge_prepare_all(runtime, "{\n\"specs\": 3}", FOURGE_PREPARE_HOST, &report, &error),
              FOURGE_INVALID_ARGUMENT, "manifest:");
  CHECK_FAILS(fourge_prepare_all(runtime, manifest, 3, &report, &error), FOURGE_INVALID_ARGUMENT,
              "where is 3");
  CHECK_FAILS(fourge_prepare_all(runtime, NULL, FOURGE_PREPARE_HOST, &report, &error),
              FOURGE_INVALID_ARGUMENT, "manifest is NULL");
  CHECK_FAILS(fourge_prepare_all_of_file(runtime, "/nowhere/fleet.json", FOURGE_PREPARE_HOST,
                                         &report, &error),
              FOURGE_IO, "/nowhere/fleet.json");
  CHECK_FAILS(fourge_prepare_all(runtime, manifest, FOURGE_PREPARE_DEVICE, &report, &error),
              FOURGE_LIBRARY_MISSING, "/nowhere/libcuda.so.1");
  CHECK(report.prepared == 7);

  CHECK_OK(fourge_prepare_all(runtime, manifest, FOURGE_PREPARE_HOST, &report, &error));
  CHECK(report.prepared >= 1 && report.failed == 0 && report.size == sizeof(report));
  CHECK(status_of(runtime).ready == 1 && status_of(runtime).done == report.prepared);
  CHECK(status_of(runtime).frozen == 0);

  fourge_host_kernel* kernel = NULL;
  CHECK_FAILS(fourge_freeze(runtime, 3, &error), FOURGE_INVALID_ARGUMENT, "policy is 3");
  CHECK_OK(fourge_freeze(runtime, FOURGE_FREEZE_REFUSE, &error));
  CHECK(status_of(runtime).frozen == 1 && status_of(runtime).policy == FOURGE_FREEZE_REFUSE);
  CHECK_FAILS(fourge_prepare_host(runtime, "row_amax[in=f32]", &kernel, &error), FOURGE_FROZEN,
              "row_amax");
  CHECK(status_of(runtime).frozen_misses == 1);
  CHECK_OK(fourge_prepare_host(runtime, "row_amax[in=bf16]", &kernel, &error));
  fourge_host_kernel_free(kernel);
  CHECK_OK(fourge_thaw(runtime, &error));
  CHECK(status_of(runtime).frozen == 0);
}

static void failures(fourge_runtime* runtime, fourge_options* options) {
  /* A compiler that refuses everything it is given. */
  fourge_runtime* broken = NULL;
  fourge_prepare_report report = {sizeof(report), 7, 7, 7};
  CHECK_OK(fourge_options_set(options, "host_compiler", "/nowhere/c++", &error));
  CHECK_OK(fourge_options_set(options, "cache_directory", "", &error));
  CHECK_OK(fourge_runtime_create(options, &broken, &error));
  CHECK_FAILS(fourge_prepare_all(broken, manifest, FOURGE_PREPARE_HOST, &report, &error),
              FOURGE_UNSUPPORTED, "could not be prepared\nrow_amax[in=bf16");
  CHECK(report.prepared == 0 && report.failed >= 1);
  CHECK(status_of(broken).ready == 0 && status_of(broken).failed == report.failed);
  fourge_runtime_free(broken);
  CHECK(status_of(runtime).ready == 1);
}

static void background(fourge_runtime* runtime) {
  fourge_pending* pending = NULL;
  int32_t answer = 7;
  CHECK_FAILS(fourge_prepare_async(runtime, "row_amax@sm_90a", &pending, &error),
              FOURGE_LIBRARY_MISSING, "/nowhere/libcuda.so.1");
  CHECK(pending == NULL);
  CHECK_FAILS(fourge_pending_wait(NULL, 0, &answer, &error), FOURGE_INVALID_ARGUMENT,
              "pending is NULL");
  fourge_pending_cancel(NULL);
  fourge_pending_free(NULL);
  CHECK_FAILS(fourge_is_cached(runtime, "row_amax", &answer, &error), FOURGE_INVALID_SPEC,
              "target");
  CHECK(answer == 7);
  CHECK(fourge_kernel_is_fallback(NULL) == 0);
}

void test_serving(void) {
  fourge_options* options = NULL;
  fourge_runtime* runtime = NULL;
  CHECK_OK(fourge_options_from_environment(&options, &error));
  CHECK_OK(fourge_options_set(options, "driver_library", "/nowhere/libcuda.so.1", &error));
  CHECK_OK(fourge_runtime_create(options, &runtime, &error));
  states(runtime);
  failures(runtime, options);
  background(runtime);
  fourge_options_free(options);
  fourge_runtime_free(runtime);
}
