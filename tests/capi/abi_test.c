/* Sizes and offsets that programs were compiled with: a change of one of these numbers is a change of
 * FOURGE_ABI_VERSION. Structs may grow at their end, and statuses may be added. The operations' argument
 * structs are recorded in <fourge/c_args.h>. */
#include <fourge/c_args.h>
#include <fourge/fourge.h>

#include <stdint.h>

#include "tests/capi/check.h"

_Static_assert(FOURGE_ABI_VERSION == 2, "ABI version");

_Static_assert(FOURGE_OK == 0 && FOURGE_INVALID_SPEC == 1 && FOURGE_INVALID_ARGUMENT == 2 &&
                   FOURGE_UNSUPPORTED == 3 && FOURGE_LIBRARY_MISSING == 4 &&
                   FOURGE_COMPILE_FAILED == 5 && FOURGE_DRIVER == 6 && FOURGE_IO == 7 &&
                   FOURGE_INTERNAL == 8 && FOURGE_OUT_OF_MEMORY == 9 && FOURGE_CANCELLED == 10 &&
                   FOURGE_FROZEN == 11 && FOURGE_PEER == 12,
               "statuses");
_Static_assert(sizeof(fourge_status) == 4, "fourge_status");

_Static_assert(sizeof(fourge_launch_options) == 16, "fourge_launch_options");
_Static_assert(offsetof(fourge_launch_options, programmatic_dependent_launch) == 8, "offset");

_Static_assert(sizeof(fourge_argument) == 48, "fourge_argument");
_Static_assert(offsetof(fourge_argument, name) == 8 && offsetof(fourge_argument, type) == 16 &&
                   offsetof(fourge_argument, offset) == 24 &&
                   offsetof(fourge_argument, bytes) == 32 && offsetof(fourge_argument, kind) == 40,
               "fourge_argument");

_Static_assert(sizeof(fourge_stats) == 264, "fourge_stats");
_Static_assert(offsetof(fourge_stats, memory_hits) == 8 && offsetof(fourge_stats, compiles) == 56 &&
                   offsetof(fourge_stats, miss_absent) == 104 &&
                   offsetof(fourge_stats, loads) == 168 &&
                   offsetof(fourge_stats, lookup_nanoseconds) == 208 &&
                   offsetof(fourge_stats, wait_nanoseconds) == 216 &&
                   offsetof(fourge_stats, host_compiles) == 224 &&
                   offsetof(fourge_stats, cancelled) == 248 &&
                   offsetof(fourge_stats, worker_compiles) == 256,
               "fourge_stats");

_Static_assert(sizeof(fourge_prepare_report) == 32 && offsetof(fourge_prepare_report, failed) == 24,
               "fourge_prepare_report");
_Static_assert(sizeof(fourge_serving) == 72 && offsetof(fourge_serving, policy) == 20 &&
                   offsetof(fourge_serving, done) == 24 &&
                   offsetof(fourge_serving, frozen_misses) == 64,
               "fourge_serving");

/* The structs of c_args.h are those of the library that runs. */
static const struct {
  const char* op;
  const char* member;
  size_t offset;
  size_t bytes;
  size_t size;
} members[] = {
#define MEMBER(op, member)                                                                       \
  {#op, #member, offsetof(fourge_##op##_args, member), sizeof(((fourge_##op##_args*)0)->member), \
   sizeof(fourge_##op##_args)},
    FOURGE_C_ARGS_MEMBERS(MEMBER)
#undef MEMBER
};

void test_abi(void) {
  CHECK(fourge_abi_version() == FOURGE_ABI_VERSION);
  CHECK_TEXT(fourge_version(), FOURGE_TEST_VERSION);

  const size_t count = sizeof(members) / sizeof(members[0]);
  size_t next = 0;
  for (size_t i = 0; fourge_op_at(i) != NULL; ++i) {
    const fourge_op* op = fourge_op_at(i);
    for (size_t a = 0; a < fourge_op_argument_count(op); ++a, ++next) {
      fourge_argument argument = {sizeof(argument), NULL, NULL, 0, 0, 0};
      CHECK_OK(fourge_op_argument(op, a, &argument, &error));
      CHECK(next < count);
      if (next < count) {
        CHECK_TEXT(fourge_op_name(op), members[next].op);
        CHECK_TEXT(argument.name, members[next].member);
        CHECK(argument.offset == members[next].offset);
        CHECK(argument.bytes == members[next].bytes);
        CHECK(fourge_op_args_size(op) == members[next].size);
      }
    }
  }
  CHECK(next == count);
}
