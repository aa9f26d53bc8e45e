# Targets format, format-check and tidy, and fourge_add_format_test().
#
# clang-format 14 decides: other versions break some lines elsewhere, so they may format but do not judge.
find_program(FOURGE_CLANG_FORMAT NAMES clang-format-14 clang-format)
find_program(FOURGE_RUN_CLANG_TIDY NAMES run-clang-tidy-14 run-clang-tidy)
mark_as_advanced(FOURGE_CLANG_FORMAT FOURGE_RUN_CLANG_TIDY)

set(fourge_format_command ${CMAKE_COMMAND}
  -DCLANG_FORMAT=${FOURGE_CLANG_FORMAT} -DSOURCE_DIR=${PROJECT_SOURCE_DIR})
set(fourge_format_script ${PROJECT_SOURCE_DIR}/cmake/FormatScript.cmake)

if(FOURGE_CLANG_FORMAT)
  add_custom_target(format
    COMMAND ${fourge_format_command} -DMODE=format -P ${fourge_format_script} VERBATIM)
  add_custom_target(format-check
    COMMAND ${fourge_format_command} -DMODE=check -P ${fourge_format_script} VERBATIM)
endif()

if(FOURGE_RUN_CLANG_TIDY)
  # Everything in compile_commands.json that is ours, not generated.
  add_custom_target(tidy
    COMMAND ${FOURGE_RUN_CLANG_TIDY} -quiet -p ${PROJECT_BINARY_DIR}
            "^${PROJECT_SOURCE_DIR}/(cache|examples|jit|reference|runtime|tests|tools)/.*"
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} USES_TERMINAL VERBATIM)
endif()

# Skips itself, visibly, without clang-format 14.
function(fourge_add_format_test)
  add_test(NAME format_check COMMAND ${fourge_format_command} -DMODE=test -P ${fourge_format_script})
  set_tests_properties(format_check PROPERTIES SKIP_REGULAR_EXPRESSION "SKIPPED:" LABELS unit)
endfunction()
