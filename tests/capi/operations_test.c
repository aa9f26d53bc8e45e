/* Enumeration, defaults and sizes of buffers. */
#include <fourge/c_args.h>
#include <fourge/fourge.h>

#include <stdint.h>

#include "tests/capi/check.h"

static void every_text_ends(void) {
  CHECK(fourge_op_count() > 20);
  CHECK(fourge_op_at(fourge_op_count()) == NULL);
  for (size_t i = 0; i < fourge_op_count(); ++i) {
    const fourge_op* op = fourge_op_at(i);
    CHECK(op == fourge_op_find(fourge_op_name(op)));
    CHECK(strlen(fourge_op_summary(op)) > 5 && strlen(fourge_op_summary(op)) < 200);
    for (size_t axis = 0; axis < fourge_op_axis_count(op); ++axis) {
      CHECK(strlen(fourge_op_axis_name(op, axis)) < 20);
      CHECK(strlen(fourge_op_axis_summary(op, axis)) < 200);
      CHECK(fourge_op_value_count(op, axis) > 0);
      for (size_t value = 0; value < fourge_op_value_count(op, axis); ++value) {
        CHECK(strlen(fourge_op_value(op, axis, value)) < 40);
        CHECK(strlen(fourge_op_value_summary(op, axis, value)) < 200);
      }
      CHECK(fourge_op_value(op, axis, fourge_op_value_count(op, axis)) == NULL);
    }
    CHECK(fourge_op_axis_name(op, fourge_op_axis_count(op)) == NULL);
    for (size_t a = 0; a < fourge_op_argument_count(op); ++a) {
      fourge_argument argument = {sizeof(argument), NULL, NULL, 0, 0, 0};
      CHECK_OK(fourge_op_argument(op, a, &argument, &error));
      CHECK(strlen(argument.name) < 40 && strlen(argument.type) < 40);
      CHECK(argument.kind != FOURGE_ARGUMENT_OTHER);
      CHECK(argument.size == sizeof(argument));
    }
  }
}

static void variants_and_targets(void) {
  fourge_variants* variants = NULL;
  CHECK_OK(fourge_variants_create("moe_permute", "sm_90a", &variants, &error));
  CHECK(fourge_variants_count(variants) > 1);
  CHECK(strncmp(fourge_variants_spec(variants, 0), "moe_permute[", 12) == 0);
  CHECK(strstr(fourge_variants_spec(variants, 0), "]@sm_90a") != NULL);
  CHECK(fourge_variants_spec(variants, fourge_variants_count(variants)) == NULL);
  fourge_variants_free(variants);
  fourge_variants* none = NULL;
  CHECK_FAILS(fourge_variants_create("nothing", "sm_90a", &none, &error), FOURGE_INVALID_SPEC,
              "known ops: nvfp4_quantize");
  CHECK_FAILS(fourge_variants_create("moe_permute", "sm_1", &none, &error), FOURGE_INVALID_SPEC,
              "sm_1");
  CHECK(none == NULL);

  int known = 0;
  for (size_t i = 0; i < fourge_target_count(); ++i) {
    known += strcmp(fourge_target_name(i), "sm_90a") == 0;
  }
  CHECK(known == 1);
  CHECK(fourge_target_name(fourge_target_count()) == NULL);
}

static void defaults(void) {
  fourge_nvfp4_quantize_args args;
  memset(&args, 0xA5, sizeof(args));
  CHECK_OK(fourge_args_init("nvfp4_quantize", &args, sizeof(args), &error));
  CHECK(args.x == NULL && args.scales == NULL && args.rows == 0);
  CHECK(args.batches == 1 && args.global_scale_value == 1.0F);
  for (size_t i = 0; i < fourge_op_count(); ++i) {
    uint64_t bytes[64];
    const fourge_op* op = fourge_op_at(i);
    CHECK(fourge_op_args_size(op) <= sizeof(bytes));
    CHECK_OK(fourge_args_init(fourge_op_name(op), bytes, fourge_op_args_size(op), &error));
  }
  CHECK_FAILS(fourge_args_init("nvfp4_quantize", &args, sizeof(args) - 8, &error),
              FOURGE_INVALID_ARGUMENT, "those of nvfp4_quantize have 64");
  CHECK_FAILS(fourge_args_init("nothing", &args, sizeof(args), &error), FOURGE_INVALID_SPEC,
              "nothing");
}

static void sizes_of_buffers(void) {
  fourge_nvfp4_quantize_args args;
  uint64_t bytes = 0;
  CHECK_OK(fourge_args_init("nvfp4_quantize", &args, sizeof(args), &error));
  args.rows = 130;
  args.cols = 96;
  const char* spec = "nvfp4_quantize[layout=128x4]";
  CHECK_OK(fourge_buffer_bytes(spec, &args, sizeof(args), "x", &bytes, &error));
  CHECK(bytes == 130 * 96 * 2);
  CHECK_OK(fourge_buffer_bytes(spec, &args, sizeof(args), "codes", &bytes, &error));
  CHECK(bytes == 130 * 96 / 2);
  CHECK_OK(fourge_buffer_bytes(spec, &args, sizeof(args), "scales", &bytes, &error));
  CHECK(bytes == 256 * 8);
  CHECK_FAILS(fourge_buffer_bytes(spec, &args, sizeof(args), "zscales", &bytes, &error),
              FOURGE_INVALID_ARGUMENT, "it has: x, codes, scales");
  args.cols = 95;
  CHECK_FAILS(fourge_buffer_bytes(spec, &args, sizeof(args), "x", &bytes, &error),
              FOURGE_INVALID_ARGUMENT, "95");
  CHECK(bytes == 256 * 8);
}

void test_operations(void) {
  every_text_ends();
  variants_and_targets();
  defaults();
  sizes_of_buffers();
  fourge_argument argument = {4, NULL, NULL, 0, 0, 0};
  const fourge_op* op = fourge_op_find("row_amax");
  CHECK(op != NULL);
  CHECK_FAILS(fourge_op_argument(op, 0, &argument, &error), FOURGE_INVALID_ARGUMENT, "4 bytes");
  argument.size = sizeof(argument);
  CHECK_FAILS(fourge_op_argument(op, 99, &argument, &error), FOURGE_INVALID_ARGUMENT, "number 99");
  CHECK(fourge_op_find("nothing") == NULL && fourge_op_find(NULL) == NULL);
  CHECK(fourge_op_name(NULL) == NULL && fourge_op_axis_count(NULL) == 0);
}
