# Settings of every target of the project, never of its consumers.
add_library(fourge_settings INTERFACE)
target_compile_features(fourge_settings INTERFACE cxx_std_20)
target_compile_options(fourge_settings INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow
  -fvisibility=hidden -fvisibility-inlines-hidden
  # g++ 12 sees an overlap in "text" + std::string() that is not there (its bug 105651).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
  $<$<BOOL:${FOURGE_WERROR}>:-Werror>)
target_include_directories(fourge_settings INTERFACE ${PROJECT_SOURCE_DIR})

set(FOURGE_SANITIZE "" CACHE STRING "Sanitizers: address,undefined or thread")
if(FOURGE_SANITIZE)
  # Everything, the reference and the tests included, must be built alike.
  # g++'s warning takes the checks that it adds itself for reads (in <regex>).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
  add_compile_options(-fsanitize=${FOURGE_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FOURGE_SANITIZE})
  if(FOURGE_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()
