/* Options by name. */
#include <fourge/fourge.h>

#include "tests/capi/check.h"

static const char* const round_trips[][2] = {{"cache_directory", "/a/b"},
                                             {"cache_read_only", "/c:/d.fourge"},
                                             {"cache_promote", "false"},
                                             {"bundle_public_key", "/key"},
                                             {"cache_byte_limit", "18446744073709551615"},
                                             {"trusted_group", "staff"},
                                             {"runtime_directory", "/run/x"},
                                             {"nvrtc_library", "/n"},
                                             {"cuda_home", "/cuda"},
                                             {"driver_library", "/libcuda"},
                                             {"host_compiler", "clang++"},
                                             {"compile_wait", "1500"},
                                             {"stuck_after", "0"},
                                             {"compile_slots", "3"},
                                             {"failure_memory", "60"},
                                             {"retry_failed", "true"},
                                             {"nvtx", "true"}};

static const char* const refusals[][2] = {{"cache_promote", "1"},
                                          {"cache_byte_limit", "-1"},
                                          {"cache_byte_limit", "18446744073709551616"},
                                          {"compile_slots", "x"},
                                          {"compile_wait", ""},
                                          {"failure_memory", "10000000000"}};

void test_options(void) {
  fourge_options* options = NULL;
  const char* value = NULL;
  CHECK_OK(fourge_options_create(&options, &error));
  CHECK_OK(fourge_options_get(options, "cache_directory", &value, &error));
  CHECK_TEXT(value, "");
  for (size_t i = 0; i < sizeof(round_trips) / sizeof(round_trips[0]); ++i) {
    CHECK_OK(fourge_options_set(options, round_trips[i][0], round_trips[i][1], &error));
  }
  for (size_t i = 0; i < sizeof(round_trips) / sizeof(round_trips[0]); ++i) {
    CHECK_OK(fourge_options_get(options, round_trips[i][0], &value, &error));
    CHECK_TEXT(value, round_trips[i][1]);
  }
  for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); ++i) {
    CHECK_FAILS(fourge_options_set(options, refusals[i][0], refusals[i][1], &error),
                FOURGE_INVALID_ARGUMENT, refusals[i][0]);
  }
  CHECK_OK(fourge_options_get(options, "cache_promote", &value, &error));
  CHECK_TEXT(value, "false");
  CHECK_FAILS(fourge_options_set(options, "cache_dir", "/x", &error), FOURGE_INVALID_ARGUMENT,
              "known: cache_directory, ");
  CHECK_FAILS(fourge_options_set(options, NULL, "/x", &error), FOURGE_INVALID_ARGUMENT,
              "name is NULL");
  CHECK_FAILS(fourge_options_set(NULL, "nvtx", "true", &error), FOURGE_INVALID_ARGUMENT,
              "options is NULL");
  fourge_options_free(options);
  fourge_options_free(NULL);

  fourge_options* environment = NULL;
  CHECK_OK(fourge_options_from_environment(&environment, &error));
  CHECK_OK(fourge_options_get(environment, "cache_directory", &value, &error));
  CHECK_TEXT(value, FOURGE_TEST_CACHE);
  fourge_options_free(environment);
}
