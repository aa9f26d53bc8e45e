# Dependencies, all from the distribution. NVRTC and the CUDA driver are loaded at run time; only their
# headers are needed here.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)

find_path(FOURGE_CUDA_INCLUDE cuda.h
  HINTS ENV CUDA_HOME ENV CUDA_PATH
  PATHS /usr/local/cuda
  PATH_SUFFIXES include targets/x86_64-linux/include)
find_path(FOURGE_NVRTC_INCLUDE nvrtc.h HINTS ${FOURGE_CUDA_INCLUDE} NO_DEFAULT_PATH)
if(NOT FOURGE_NVRTC_INCLUDE)
  find_path(FOURGE_NVRTC_INCLUDE nvrtc.h
    HINTS ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES include)
endif()
if(NOT FOURGE_CUDA_INCLUDE OR NOT FOURGE_NVRTC_INCLUDE)
  message(FATAL_ERROR "cuda.h and nvrtc.h were not found. Install the CUDA toolkit (12.9 or later), or "
    "set CUDA_HOME or -DFOURGE_CUDA_INCLUDE=DIR -DFOURGE_NVRTC_INCLUDE=DIR; tools/quickstart does that.")
endif()
add_library(fourge_cuda_headers INTERFACE)
target_include_directories(fourge_cuda_headers SYSTEM INTERFACE
  ${FOURGE_CUDA_INCLUDE} ${FOURGE_NVRTC_INCLUDE})

# Ranges for NVIDIA's profilers (Options::nvtx). Header only; it finds the profiler at run time.
find_path(FOURGE_NVTX_INCLUDE nvtx3/nvToolsExt.h HINTS ${FOURGE_CUDA_INCLUDE} NO_DEFAULT_PATH)
if(NOT FOURGE_NVTX_INCLUDE)
  find_path(FOURGE_NVTX_INCLUDE nvtx3/nvToolsExt.h
    HINTS ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES include)
endif()
add_library(fourge_nvtx_headers INTERFACE)
if(FOURGE_NVTX_INCLUDE)
  target_include_directories(fourge_nvtx_headers SYSTEM INTERFACE ${FOURGE_NVTX_INCLUDE})
  target_compile_definitions(fourge_nvtx_headers INTERFACE FOURGE_HAVE_NVTX=1)
  message(STATUS "fourge: NVTX ranges: on (${FOURGE_NVTX_INCLUDE})")
else()
  target_compile_definitions(fourge_nvtx_headers INTERFACE FOURGE_HAVE_NVTX=0)
  message(STATUS "fourge: NVTX ranges: off (nvtx3/nvToolsExt.h of the CUDA toolkit was not found)")
endif()

# Fibers of host execution; without Boost.Context they are made with ucontext (slower).
find_package(Boost QUIET COMPONENTS context)
if(TARGET Boost::context)
  message(STATUS "fourge: host execution fibers: Boost.Context")
else()
  message(STATUS "fourge: host execution fibers: ucontext (install libboost-context-dev for speed)")
endif()

if(FOURGE_BUILD_TOOLS)
  find_package(CLI11 REQUIRED)
endif()
if(FOURGE_BUILD_TESTS)
  find_package(spdlog REQUIRED)  # an embedder's logger
  find_package(Catch2 REQUIRED)  # 2.13 and 3 both work
  message(STATUS "fourge: Catch2 ${Catch2_VERSION}")
  find_package(benchmark QUIET)
  if(benchmark_FOUND)
    message(STATUS "fourge: benchmarks of the cache: on (fourge_bench_host)")
  else()
    message(STATUS "fourge: benchmarks of the cache: off (install libbenchmark-dev)")
  endif()
endif()
