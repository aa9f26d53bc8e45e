# fourge_embed_text(TARGET NAMESPACE_FUNCTION FILES...) embeds text files, byte for byte, and generates
#   std::span<const EmbeddedText> <function>()
# declared by the caller as
#   struct EmbeddedText { std::string_view name; std::string_view text; };
# NAME is the path below BASE.
function(fourge_embed_text)
  cmake_parse_arguments(arg "" "TARGET;FUNCTION;HEADER;BASE" "FILES" ${ARGN})
  string(REPLACE "::" "_" stem ${arg_FUNCTION})
  set(output ${CMAKE_CURRENT_BINARY_DIR}/embedded_${stem}.cpp)
  set(absolute)
  foreach(file IN LISTS arg_FILES)
    list(APPEND absolute ${arg_BASE}/${file})
  endforeach()
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DFUNCTION=${arg_FUNCTION} -DHEADER=${arg_HEADER}
            -DBASE=${arg_BASE} "-DFILES=${arg_FILES}"
            -P ${PROJECT_SOURCE_DIR}/cmake/EmbedTextScript.cmake
    DEPENDS ${absolute} ${PROJECT_SOURCE_DIR}/cmake/EmbedTextScript.cmake
    VERBATIM)
  target_sources(${arg_TARGET} PRIVATE ${output})
endfunction()
