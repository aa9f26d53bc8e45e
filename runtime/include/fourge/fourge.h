/* fourge's C API: specs become kernels, through the caches, and run on your stream. C11; also C++.
 *
 *   fourge_runtime* runtime = NULL;
 *   fourge_kernel* kernel = NULL;
 *   fourge_error* error = NULL;
 *   fourge_nvfp4_quantize_args args;                            (<fourge/c_args.h>)
 *   fourge_args_init("nvfp4_quantize", &args, sizeof args, NULL);
 *   args.x = ...;
 *   if (fourge_runtime_create(NULL, &runtime, &error) == FOURGE_OK &&
 *       fourge_prepare(runtime, "nvfp4_quantize[in=bf16,layout=128x4]", &kernel, &error) == FOURGE_OK) {
 *     fourge_launch(kernel, "nvfp4_quantize", &args, sizeof args, stream, &error);
 *   }
 *
 * Needs neither cuda.h nor NVRTC to compile or link; both libraries are loaded when they are needed.
 *
 * ABI. Structs begin with their size and only grow at their end; functions are not removed or changed
 * while FOURGE_ABI_VERSION stays. A program built for an ABI version runs with every library that
 * answers the same from fourge_abi_version(). The layout of an operation's argument struct is part of
 * it: fourge_op_args_size() (<fourge/c_ops.h>).
 *
 * Threads. Any thread may call any function at any time, with two exceptions: an options object is used
 * by one thread at a time, and a handle must not be freed while another call uses it. Handles may be
 * freed in any order; a kernel keeps its runtime alive. Free functions accept NULL.
 *
 * Strings are UTF-8 and end with a zero. Errors: <fourge/c_error.h>. Enumeration: <fourge/c_ops.h>.
 * Manifests, freezing, kernels in the background: <fourge/c_serving.h>. */
#ifndef FOURGE_FOURGE_H
#define FOURGE_FOURGE_H

#include <fourge/c_error.h>
#include <fourge/c_ops.h>
#include <fourge/c_serving.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version ---- */

#define FOURGE_ABI_VERSION 2

/* Of the library that runs: compare it with FOURGE_ABI_VERSION. */
FOURGE_C_API uint32_t fourge_abi_version(void);
/* "0.1.0" */
FOURGE_C_API const char* fourge_version(void);

/* ---- Options ---- */

typedef struct fourge_options fourge_options;

/* Without cache directory and with every option at its default; no environment is read. */
FOURGE_C_API fourge_status fourge_options_create(fourge_options** options, fourge_error** error);
/* As the environment says (FOURGE_CACHE_DIR and so on, see README.md), read now. */
FOURGE_C_API fourge_status fourge_options_from_environment(fourge_options** options,
                                                           fourge_error** error);
/* Sets one option, given as text. Names are those of fourge::Options (<fourge/options.hpp>, which says
 * what they mean):
 *   paths and names     cache_directory, bundle_public_key, trusted_group, runtime_directory,
 *                       nvrtc_library, cuda_home, driver_library, host_compiler
 *   paths with ':'      cache_read_only
 *   "true" or "false"   cache_promote, retry_failed, nvtx
 *   whole numbers       cache_byte_limit, compile_slots
 *   milliseconds        compile_wait, stuck_after
 *   seconds             failure_memory
 * FOURGE_INVALID_ARGUMENT for another name, with the known ones, and for a value that is none. */
FOURGE_C_API fourge_status fourge_options_set(fourge_options* options, const char* name,
                                              const char* value, fourge_error** error);
/* The value of an option, in the form fourge_options_set() takes. The text lives until the next call
 * with these options. */
FOURGE_C_API fourge_status fourge_options_get(fourge_options* options, const char* name,
                                              const char** value, fourge_error** error);

enum { FOURGE_LOG_DEBUG = 0, FOURGE_LOG_INFO = 1, FOURGE_LOG_WARN = 2, FOURGE_LOG_ERROR = 3 };
/* text ends with a zero; length does not count it. Called from any thread, never by a launch; must
 * return, and must not free what belongs to the runtime. */
typedef void (*fourge_log_function)(void* user, int32_t level, const char* text, size_t length);
/* Without one the library is silent. NULL takes it away. */
FOURGE_C_API fourge_status fourge_options_set_log(fourge_options* options, fourge_log_function log,
                                                  void* user, fourge_error** error);
FOURGE_C_API void fourge_options_free(fourge_options* options);

/* ---- Runtime ---- */

typedef struct fourge_runtime fourge_runtime;

/* options NULL: as fourge_options_from_environment(). They are copied. Loads no library. */
FOURGE_C_API fourge_status fourge_runtime_create(const fourge_options* options,
                                                 fourge_runtime** runtime, fourge_error** error);
FOURGE_C_API void fourge_runtime_free(fourge_runtime* runtime);
/* The target for the device of the current context, as "sm_90a"; the text lives as long as the process.
 * FOURGE_UNSUPPORTED without a current context or for a device that fourge has no target for. */
FOURGE_C_API fourge_status fourge_device_target(const fourge_runtime* runtime, const char** target,
                                                fourge_error** error);

/* ---- Kernels on the GPU ---- */

typedef struct fourge_kernel fourge_kernel;

/* From memory, from disk, or compiled now (seconds); then loaded for the current context, which is
 * neither changed nor created: there must be one (cuInit and cuCtxSetCurrent, or any call of the CUDA
 * runtime or of PyTorch that uses the device). spec as <fourge/kernel_spec.hpp> says; without
 * "@target" it is for the device of the current context. */
FOURGE_C_API fourge_status fourge_prepare(fourge_runtime* runtime, const char* spec,
                                          fourge_kernel** kernel, fourge_error** error);
/* The same for a kernel that is to run on this stream: if the stream is being captured, a kernel that is
 * not loaded yet is refused with FOURGE_UNSUPPORTED and the capture stays intact. */
FOURGE_C_API fourge_status fourge_prepare_for_stream(fourge_runtime* runtime, const char* spec,
                                                     void* stream, fourge_kernel** kernel,
                                                     fourge_error** error);
/* The canonical text, with its target; lives as long as the kernel. NULL for NULL. */
FOURGE_C_API const char* fourge_kernel_spec(const fourge_kernel* kernel);
FOURGE_C_API void fourge_kernel_free(fourge_kernel* kernel);

typedef struct fourge_launch_options {
  size_t size; /* set by the caller: sizeof(fourge_launch_options) */
  /* Not 0: the kernel may start while its predecessor in the stream drains (programmatic dependent
   * launch). FOURGE_UNSUPPORTED for a target that cannot. */
  uint32_t programmatic_dependent_launch;
} fourge_launch_options;

/* Launches on the stream (a CUstream; NULL: the legacy default stream) in the current context, and
 * returns at once: buffers must stay until the kernel is done. args is the argument struct of op, size
 * its size; pointers in it are device pointers. op must be the kernel's own: it is compared, so that
 * arguments of another operation are refused. Takes no lock, allocates nothing. May be captured into a
 * graph. */
FOURGE_C_API fourge_status fourge_launch(const fourge_kernel* kernel, const char* op,
                                         const void* args, size_t size, void* stream,
                                         fourge_error** error);
/* The same with options; NULL: as fourge_launch(). */
FOURGE_C_API fourge_status fourge_launch_with(const fourge_kernel* kernel, const char* op,
                                              const void* args, size_t size, void* stream,
                                              const fourge_launch_options* options,
                                              fourge_error** error);

/* ---- Kernels on the CPU, for trying out: correct and slow ---- */

typedef struct fourge_host_kernel fourge_host_kernel;

/* Compiles with the host's C++ compiler, or takes what the cache has. Without "@target" the spec is for
 * sm_90a; in exact mode all targets give the same bits. */
FOURGE_C_API fourge_status fourge_prepare_host(fourge_runtime* runtime, const char* spec,
                                               fourge_host_kernel** kernel, fourge_error** error);
FOURGE_C_API const char* fourge_host_kernel_spec(const fourge_host_kernel* kernel);
/* Done when it returns. Pointers in args are host pointers. An access outside the buffers is
 * FOURGE_INTERNAL. */
FOURGE_C_API fourge_status fourge_launch_host(const fourge_host_kernel* kernel, const char* op,
                                              const void* args, size_t size, fourge_error** error);
FOURGE_C_API void fourge_host_kernel_free(fourge_host_kernel* kernel);

/* ---- Cubins, without a GPU ---- */

typedef struct fourge_artifact fourge_artifact;

enum { FOURGE_ORIGIN_DISK = 0, FOURGE_ORIGIN_COMPILED = 1 };

/* The cubin of a spec, which must name its target: from memory, from disk, or compiled and stored. */
FOURGE_C_API fourge_status fourge_build(fourge_runtime* runtime, const char* spec,
                                        fourge_artifact** artifact, fourge_error** error);
/* What these return lives as long as the artifact. The artifact must not be NULL. */
FOURGE_C_API const void* fourge_artifact_cubin(const fourge_artifact* artifact, size_t* size);
FOURGE_C_API const char* fourge_artifact_spec(const fourge_artifact* artifact);
/* The name of the kernel in the cubin. */
FOURGE_C_API const char* fourge_artifact_entry(const fourge_artifact* artifact);
/* Exactly what the compiler got, and the digest under which the cache has it (hex). */
FOURGE_C_API const char* fourge_artifact_source(const fourge_artifact* artifact);
FOURGE_C_API const char* fourge_artifact_key(const fourge_artifact* artifact);
/* Where this runtime first had it from: FOURGE_ORIGIN_... */
FOURGE_C_API int32_t fourge_artifact_origin(const fourge_artifact* artifact);
FOURGE_C_API void fourge_artifact_free(fourge_artifact* artifact);

/* ---- Counters ---- */

/* Since the runtime was made. <fourge/stats.hpp> says what is counted. */
typedef struct fourge_stats {
  size_t size; /* set by the caller: sizeof(fourge_stats) */
  uint64_t memory_hits;
  uint64_t disk_hits;
  uint64_t read_only_hits;
  uint64_t bundle_hits;
  uint64_t promotions;
  uint64_t promotion_failures;
  uint64_t compiles;
  uint64_t compile_failures;
  uint64_t remembered_failures;
  uint64_t replaced_holders;
  uint64_t waits;
  uint64_t heals;
  uint64_t miss_absent;
  uint64_t miss_format;
  uint64_t miss_key;
  uint64_t miss_corrupt;
  uint64_t miss_unreadable;
  uint64_t miss_untrusted;
  uint64_t miss_disabled;
  uint64_t publish_failures;
  uint64_t loads;
  uint64_t evictions;
  uint64_t bytes_evicted;
  uint64_t bytes_written;
  uint64_t compile_nanoseconds;
  uint64_t lookup_nanoseconds;
  uint64_t wait_nanoseconds;
  uint64_t host_compiles;
  uint64_t frozen_misses;
  uint64_t fallback_swaps;
  uint64_t cancelled;
  uint64_t worker_compiles;
} fourge_stats;

/* Fills as much of *stats as its size says; what a newer header has and this library does not know
 * becomes 0. */
FOURGE_C_API fourge_status fourge_runtime_stats(const fourge_runtime* runtime, fourge_stats* stats,
                                                fourge_error** error);
/* The same counters as text for Prometheus. Writes at most capacity bytes, the last of them zero, and
 * into *length how many bytes the whole text has without it: if that is not below capacity, call again
 * with more. text may be NULL if capacity is 0. */
FOURGE_C_API fourge_status fourge_runtime_metrics(const fourge_runtime* runtime, char* text,
                                                  size_t capacity, size_t* length,
                                                  fourge_error** error);

#ifdef __cplusplus
}
#endif

#endif /* FOURGE_FOURGE_H */
