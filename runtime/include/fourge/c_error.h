/* fourge's C API, part 1: statuses and error objects. C11; also C++. Include <fourge/fourge.h>.
 *
 * Every call that can fail returns a status and takes, last, where to put an error object; NULL if the
 * status is enough. On success *error becomes NULL. On failure *error is a new object, to be freed with
 * fourge_error_free(); what the other output arguments point to is then as it was before. An error that
 * *error already holds is overwritten and not freed. No C++ exception leaves a call. */
#ifndef FOURGE_C_ERROR_H
#define FOURGE_C_ERROR_H

#include <stdint.h>

#if defined(__GNUC__)
#define FOURGE_C_API __attribute__((visibility("default")))
#else
#define FOURGE_C_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* One of the numbers below. They keep their meaning; later versions may add some. */
typedef int32_t fourge_status;
enum {
  FOURGE_OK = 0,
  FOURGE_INVALID_SPEC = 1,     /* unknown op, axis, value or target; an illegal combination */
  FOURGE_INVALID_ARGUMENT = 2, /* what the op's contract or this API forbids */
  FOURGE_UNSUPPORTED = 3,      /* legal, but this machine cannot do it */
  FOURGE_LIBRARY_MISSING = 4,  /* libnvrtc or libcuda was not found or is too old */
  FOURGE_COMPILE_FAILED = 5,   /* a compiler refused the generated source */
  FOURGE_DRIVER = 6,           /* the CUDA driver returned an error */
  FOURGE_IO = 7,               /* a file could not be read or written */
  FOURGE_INTERNAL = 8,         /* a defect in fourge */
  FOURGE_OUT_OF_MEMORY = 9,    /* of the host */
  FOURGE_CANCELLED = 10,       /* a request that was cancelled */
  FOURGE_FROZEN = 11,          /* a miss after the runtime was frozen */
  FOURGE_PEER = 12             /* another rank of a group died, failed, or did not come in time */
};

/* "invalid_spec", "driver", ... ; "ok" for FOURGE_OK, "unknown" for what is none. Never freed. */
FOURGE_C_API const char* fourge_status_name(fourge_status status);

typedef struct fourge_error fourge_error;

/* The strings live as long as the error and are never NULL. NULL for the error is allowed: then the
 * status is FOURGE_OK and the strings are empty. */
FOURGE_C_API fourge_status fourge_error_status(const fourge_error* error);
/* What was asked, what was found, what to do. */
FOURGE_C_API const char* fourge_error_message(const fourge_error* error);
/* Of FOURGE_COMPILE_FAILED: what the compiler said, and where the source it refused was written. */
FOURGE_C_API const char* fourge_error_log(const fourge_error* error);
FOURGE_C_API const char* fourge_error_source_path(const fourge_error* error);
/* Of FOURGE_DRIVER: the CUresult. Otherwise 0. */
FOURGE_C_API int32_t fourge_error_driver_status(const fourge_error* error);
FOURGE_C_API void fourge_error_free(fourge_error* error);

#ifdef __cplusplus
}
#endif

#endif /* FOURGE_C_ERROR_H */
