# fourge_add_test(NAME SOURCES... [LIBRARIES...] [LABELS...] [OWN_MAIN] [TIMEOUT s]) builds one Catch2
# program and registers it with CTest. Works with Catch2 2.13 and 3 (tests/support/catch.hpp).
function(fourge_add_test name)
  cmake_parse_arguments(arg "OWN_MAIN" "TIMEOUT" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE fourge_settings fourge_headers ${arg_LIBRARIES}
    $<IF:$<BOOL:${arg_OWN_MAIN}>,Catch2::Catch2,Catch2::Catch2WithMain>)
  target_compile_definitions(${name} PRIVATE FOURGE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  # Kernels that tests compile are kept in the build tree and not in the user's cache.
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 LABELS "${arg_LABELS}"
    ENVIRONMENT "FOURGE_CACHE_DIR=${PROJECT_BINARY_DIR}/test-cache")
  if(arg_TIMEOUT)
    set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT})
  endif()
endfunction()
