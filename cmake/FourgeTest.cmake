# Half of the time to compile a test is Catch2's header and the optimisation of its checks. So the header is compiled
# once, for a program that does nothing, and tests are optimised little; what they test and compare with is optimised
# as ever. (The presets dev and clang compile each source with its own includes: CMAKE_DISABLE_PRECOMPILE_HEADERS.)
add_executable(fourge_test_headers ${PROJECT_SOURCE_DIR}/tests/support/test_headers.cpp)
target_link_libraries(fourge_test_headers PRIVATE fourge_settings fourge_headers Catch2::Catch2)
function(fourge_compile_quickly target)
  # At -O1 g++ sees std::string exceeded where it is not; what is tested is compiled with these warnings.
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1
    $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds -Wno-stringop-overflow>>)
  # A header that does not suit a target, for a macro of its own, is compiled again without a word.
  set_target_properties(${target} PROPERTIES PCH_WARN_INVALID OFF)
endfunction()
fourge_compile_quickly(fourge_test_headers)
target_precompile_headers(fourge_test_headers PRIVATE
  ${PROJECT_SOURCE_DIR}/tests/support/catch.hpp <algorithm> <cstdint> <filesystem> <functional> <memory> <optional>
  <span> <string> <string_view> <vector>)

# Catch2's own sources, for programs with a main function of their own (tests/support/catch_session.hpp).
add_library(fourge_catch_session STATIC EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/tests/support/catch_session.cpp)
target_link_libraries(fourge_catch_session PUBLIC Catch2::Catch2 PRIVATE fourge_settings)
fourge_compile_quickly(fourge_catch_session)

# fourge_set_timeout(SECONDS TEST...): five times as long where a sanitizer slows the test down.
function(fourge_set_timeout seconds)
  if(FOURGE_SANITIZE)
    math(EXPR seconds "${seconds} * 5")
  endif()
  set_tests_properties(${ARGN} PROPERTIES TIMEOUT ${seconds})
endfunction()

# fourge_add_test(NAME SOURCES... [LIBRARIES...] [LABELS...] [OWN_MAIN] [TOGETHER] [TIMEOUT s] [TAGS...]) builds one
# Catch2 program and registers it with CTest. Works with Catch2 2.13 and 3 (tests/support/catch.hpp).
# With TAGS the cases of each tag are a test of their own, NAME_TAG, so that they may run side by side;
# every case must have one of them. OWN_MAIN: a source has the main function, and calls run_catch(). TOGETHER: sources
# with the same large templates (JSON, above all) are compiled six at a time; a name in one's unnamed namespace must be
# no other's.
function(fourge_add_test name)
  cmake_parse_arguments(arg "OWN_MAIN;TOGETHER" "TIMEOUT" "SOURCES;LIBRARIES;LABELS;TAGS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE fourge_settings fourge_headers ${arg_LIBRARIES}
    $<IF:$<BOOL:${arg_OWN_MAIN}>,fourge_catch_session,Catch2::Catch2WithMain>)
  fourge_compile_quickly(${name})
  target_precompile_headers(${name} REUSE_FROM fourge_test_headers)
  if(arg_TOGETHER AND NOT CMAKE_DISABLE_PRECOMPILE_HEADERS)
    set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
  endif()
  target_compile_definitions(${name} PRIVATE FOURGE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  set(tests)
  foreach(tag IN LISTS arg_TAGS)
    add_test(NAME ${name}_${tag} COMMAND ${name} "[${tag}]")
    list(APPEND tests ${name}_${tag})
  endforeach()
  if(NOT arg_TAGS)
    add_test(NAME ${name} COMMAND ${name})
    set(tests ${name})
  endif()
  # Kernels that tests compile are kept in the build tree and not in the user's cache.
  set_tests_properties(${tests} PROPERTIES SKIP_RETURN_CODE 77 LABELS "${arg_LABELS}"
    ENVIRONMENT "FOURGE_CACHE_DIR=${PROJECT_BINARY_DIR}/test-cache")
  if(arg_TIMEOUT)
    fourge_set_timeout(${arg_TIMEOUT} ${tests})
  endif()
endfunction()

# fourge_add_long_test(PROGRAM FILTER [TIMEOUT s]): the tests of PROGRAM that the Catch2 filter names, with
# larger counts (FOURGE_LONG=1). Labelled long and not run by a plain ctest: tests/run --long, or
# ctest -C Long -L long.
function(fourge_add_long_test program filter)
  cmake_parse_arguments(arg "" "TIMEOUT" "" ${ARGN})
  add_test(NAME ${program}_long COMMAND ${program} ${filter} CONFIGURATIONS Long)
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 1800)
  endif()
  set_tests_properties(${program}_long PROPERTIES SKIP_RETURN_CODE 77 LABELS long RUN_SERIAL TRUE
    TIMEOUT ${arg_TIMEOUT}
    ENVIRONMENT "FOURGE_LONG=1;FOURGE_CACHE_DIR=${PROJECT_BINARY_DIR}/test-cache")
endfunction()
