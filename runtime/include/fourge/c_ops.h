/* fourge's C API, part 2: what there is. Operations, their axes and variants, and the layout of their
 * argument structs, so that a program that cannot include headers can fill them. Built-in operations
 * only. C11; also C++. Include <fourge/fourge.h>.
 *
 * What is returned as a pointer to a const fourge_op or as text lives as long as the process and is the
 * same at every call. All functions may be called by any thread at any time. */
#ifndef FOURGE_C_OPS_H
#define FOURGE_C_OPS_H

#include <fourge/c_error.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The targets, as "sm_90a"; NULL beyond the last. */
FOURGE_C_API size_t fourge_target_count(void);
FOURGE_C_API const char* fourge_target_name(size_t index);

typedef struct fourge_op fourge_op;

FOURGE_C_API size_t fourge_op_count(void);
/* NULL beyond the last. */
FOURGE_C_API const fourge_op* fourge_op_at(size_t index);
/* NULL if there is none of that name. */
FOURGE_C_API const fourge_op* fourge_op_find(const char* name);

/* Of a NULL operation and beyond the last item these are NULL or 0. */
FOURGE_C_API const char* fourge_op_name(const fourge_op* op);
FOURGE_C_API const char* fourge_op_summary(const fourge_op* op);

/* Axes and their values; the first value is the default. */
FOURGE_C_API size_t fourge_op_axis_count(const fourge_op* op);
FOURGE_C_API const char* fourge_op_axis_name(const fourge_op* op, size_t axis);
FOURGE_C_API const char* fourge_op_axis_summary(const fourge_op* op, size_t axis);
FOURGE_C_API size_t fourge_op_value_count(const fourge_op* op, size_t axis);
FOURGE_C_API const char* fourge_op_value(const fourge_op* op, size_t axis, size_t value);
FOURGE_C_API const char* fourge_op_value_summary(const fourge_op* op, size_t axis, size_t value);

/* Every legal combination of axis values of an operation, as specs for one target. */
typedef struct fourge_variants fourge_variants;
FOURGE_C_API fourge_status fourge_variants_create(const char* op, const char* target,
                                                  fourge_variants** variants, fourge_error** error);
FOURGE_C_API size_t fourge_variants_count(const fourge_variants* variants);
/* Lives as long as the variants; NULL beyond the last. */
FOURGE_C_API const char* fourge_variants_spec(const fourge_variants* variants, size_t index);
FOURGE_C_API void fourge_variants_free(fourge_variants* variants);

/* Argument structs. <fourge/c_args.h> has them as C; a member's contract is in the operation's C++
 * header (<fourge/nvfp4_quantize.hpp> and so on), under the same name. */
enum {
  FOURGE_ARGUMENT_POINTER = 0,
  FOURGE_ARGUMENT_INT64 = 1,
  FOURGE_ARGUMENT_INT32 = 2,
  FOURGE_ARGUMENT_FLOAT = 3, /* 32 bits */
  FOURGE_ARGUMENT_OTHER = 4
};

typedef struct fourge_argument {
  size_t size;      /* set by the caller: sizeof(fourge_argument) */
  const char* name; /* "rows" */
  const char* type; /* as C++ in the kernel: "const void*", "long long", "float" */
  size_t offset;    /* in the argument struct */
  size_t bytes;
  int32_t kind; /* FOURGE_ARGUMENT_... */
} fourge_argument;

FOURGE_C_API size_t fourge_op_args_size(const fourge_op* op);
FOURGE_C_API size_t fourge_op_argument_count(const fourge_op* op);
/* Members of *argument beyond its size are left alone. FOURGE_INVALID_ARGUMENT beyond the last. */
FOURGE_C_API fourge_status fourge_op_argument(const fourge_op* op, size_t index,
                                              fourge_argument* argument, fourge_error** error);
/* Fills an argument struct with the defaults: null pointers, and, of numbers, what the C++ struct is
 * initialised with (batches = 1, say). size must be fourge_op_args_size(). */
FOURGE_C_API fourge_status fourge_args_init(const char* op, void* args, size_t size,
                                            fourge_error** error);

/* How many bytes a call reads or writes in one of its buffers, named as in the argument struct: to know
 * what to allocate. Numbers must be set. A null pointer stands for a buffer that is yet to be made;
 * buffers are not looked into. spec may lack the target. FOURGE_INVALID_ARGUMENT for an unknown buffer,
 * with the known ones, and for arguments that the contract forbids. */
FOURGE_C_API fourge_status fourge_buffer_bytes(const char* spec, const void* args, size_t size,
                                               const char* buffer, uint64_t* bytes,
                                               fourge_error** error);

#ifdef __cplusplus
}
#endif

#endif /* FOURGE_C_OPS_H */
