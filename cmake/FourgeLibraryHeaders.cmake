# About half of the time to compile a source of the library is parsing, mostly of fmt's header and the standard ones. They
# are compiled once, for a module that has nothing else. Whoever builds fourge inside a project of their own compiles each source
# with its own includes, as do the presets dev and clang (CMAKE_DISABLE_PRECOMPILE_HEADERS).
if(PROJECT_IS_TOP_LEVEL)
  add_library(fourge_library_headers OBJECT ${PROJECT_SOURCE_DIR}/cmake/library_headers.cpp)
  target_link_libraries(fourge_library_headers PRIVATE fourge_settings fmt::fmt)
  target_precompile_headers(fourge_library_headers PRIVATE
    <fmt/format.h> <algorithm> <array> <chrono> <cmath> <cstdint> <cstring> <functional> <memory> <mutex> <optional>
    <span> <string> <string_view> <utility> <vector>)
endif()

# fourge_use_library_headers(TARGET): one that is compiled with no options beside those of fourge_settings, and with fmt.
function(fourge_use_library_headers target)
  if(PROJECT_IS_TOP_LEVEL)
    target_precompile_headers(${target} REUSE_FROM fourge_library_headers)
  endif()
endfunction()
