/* fourge's C API, part 4: what a server does before and while it serves. <fourge/serving.hpp> and
 * <fourge/runtime.hpp> say more about states and policies, <fourge/manifest.hpp> what a manifest is. C11;
 * also C++. Include <fourge/fourge.h>. Any thread may call any function at any time. */
#ifndef FOURGE_C_SERVING_H
#define FOURGE_C_SERVING_H

#include <fourge/c_error.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fourge_runtime fourge_runtime;
typedef struct fourge_kernel fourge_kernel;

/* ---- All kernels of a manifest ---- */

enum {
  FOURGE_PREPARE_DEVICE = 0, /* built and loaded for the current context's device */
  FOURGE_PREPARE_BUILD = 1,  /* cubins for the targets that the manifest names; needs no GPU */
  FOURGE_PREPARE_HOST = 2    /* for host execution */
};

typedef struct fourge_prepare_report {
  size_t size; /* set by the caller: sizeof(fourge_prepare_report) */
  uint64_t prepared;
  uint64_t compiled; /* of these */
  uint64_t failed;
} fourge_prepare_report;

/* Prepares all that a manifest (JSON text) has, and waits for it. One that fails does not stop the rest:
 * then the status is that of the first failure, and the message has the first few. *report (which may be
 * NULL) is filled in either case, and left alone where nothing was begun. */
FOURGE_C_API fourge_status fourge_prepare_all(fourge_runtime* runtime, const char* manifest,
                                              int32_t where, fourge_prepare_report* report,
                                              fourge_error** error);
/* The same for a manifest in a file. */
FOURGE_C_API fourge_status fourge_prepare_all_of_file(fourge_runtime* runtime, const char* path,
                                                      int32_t where, fourge_prepare_report* report,
                                                      fourge_error** error);

/* ---- States ---- */

enum {
  FOURGE_FREEZE_REFUSE = 0,           /* a miss is FOURGE_FROZEN */
  FOURGE_FREEZE_WARN_AND_COMPILE = 1, /* a miss is logged, then as ever */
  FOURGE_FREEZE_FALLBACK = 2 /* the fallback variant at once, the wanted one when it is there */
};

FOURGE_C_API fourge_status fourge_freeze(fourge_runtime* runtime, int32_t policy,
                                         fourge_error** error);
FOURGE_C_API fourge_status fourge_thaw(fourge_runtime* runtime, fourge_error** error);

typedef struct fourge_serving {
  size_t size;        /* set by the caller: sizeof(fourge_serving) */
  uint32_t preparing; /* these three: 0 or 1 */
  uint32_t ready;     /* the last fourge_prepare_all() ended well */
  uint32_t frozen;
  int32_t policy; /* FOURGE_FREEZE_..., if frozen */
  uint64_t done;  /* these three: of the fourge_prepare_all() that runs, or of the last one */
  uint64_t failed;
  uint64_t total;
  uint64_t pending;   /* requests in the background */
  uint64_t stand_ins; /* kernels that a fallback variant stands in for now */
  uint64_t frozen_misses;
} fourge_serving;

/* For readiness checks: takes no lock. */
FOURGE_C_API fourge_status fourge_serving_status(const fourge_runtime* runtime,
                                                 fourge_serving* serving, fourge_error** error);
/* 1 while launches of this kernel run its fallback variant, else 0; 0 for NULL. */
FOURGE_C_API int fourge_kernel_is_fallback(const fourge_kernel* kernel);

/* ---- In the background ---- */

/* A kernel that comes later. Keeps its runtime alive. */
typedef struct fourge_pending fourge_pending;

/* As fourge_prepare(), in the background, for the context that is current now, which must live until the
 * result is there. */
FOURGE_C_API fourge_status fourge_prepare_async(fourge_runtime* runtime, const char* spec,
                                                fourge_pending** pending, fourge_error** error);
/* Waits at most so many milliseconds (negative: for as long as it takes); *ready becomes 1 if the result is
 * there, an error among them, else 0. */
FOURGE_C_API fourge_status fourge_pending_wait(const fourge_pending* pending, int64_t milliseconds,
                                               int32_t* ready, fourge_error** error);
/* Waits, then as fourge_prepare(), or FOURGE_CANCELLED. May be called more than once. */
FOURGE_C_API fourge_status fourge_pending_get(const fourge_pending* pending, fourge_kernel** kernel,
                                              fourge_error** error);
/* Returns at once. */
FOURGE_C_API void fourge_pending_cancel(const fourge_pending* pending);
/* Does not cancel. */
FOURGE_C_API void fourge_pending_free(fourge_pending* pending);

/* *cached becomes 1 if a verified cubin for the spec (which names its target) is in memory or in a cache,
 * so that fourge_build() compiles nothing, else 0. */
FOURGE_C_API fourge_status fourge_is_cached(fourge_runtime* runtime, const char* spec,
                                            int32_t* cached, fourge_error** error);

#ifdef __cplusplus
}
#endif

#endif /* FOURGE_C_SERVING_H */
