# cmake --install, in three components:
#   fourge_runtime      libfourge.so with its version
#   fourge_development  headers, libfourge.a, the link libfourge.so, packages for CMake and pkg-config
#   fourge_command      fourge, its manual page and completions
# Where both libraries were built, both are installed (docs/packaging.md).
include(CMakePackageConfigHelpers)

set(fourge_package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/fourge)

# fourge::fourge, of one kind: the package includes one of the two files.
function(fourge_install_library target kind)
  install(TARGETS ${target} fourge_headers EXPORT fourge${kind}Targets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT fourge_development
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT fourge_runtime
            NAMELINK_COMPONENT fourge_development)
  install(EXPORT fourge${kind}Targets NAMESPACE fourge:: DESTINATION ${fourge_package_directory}
    COMPONENT fourge_development)
endfunction()

get_target_property(fourge_type fourge TYPE)
set(fourge_installs_static OFF)
set(fourge_installs_shared OFF)
if(fourge_type STREQUAL "STATIC_LIBRARY")
  set(fourge_installs_static ON)
  fourge_install_library(fourge Static)
else()
  set(fourge_installs_shared ON)
  fourge_install_library(fourge Shared)
endif()
if(TARGET fourge_shared)
  set(fourge_installs_shared ON)
  fourge_install_library(fourge_shared Shared)
endif()

install(DIRECTORY ${PROJECT_SOURCE_DIR}/runtime/include/fourge
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT fourge_development
  FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h")

# What a static library leaves to its consumer's linker; a shared one has it all.
set(FOURGE_STATIC_DEPENDENCIES "  find_dependency(Threads)
  find_dependency(fmt)
  find_dependency(OpenSSL COMPONENTS Crypto)")
set(fourge_static_libs "-lfmt -lcrypto -ldl -pthread -lstdc++ -lm")
if(TARGET Boost::context)
  string(APPEND FOURGE_STATIC_DEPENDENCIES "\n  find_dependency(Boost COMPONENTS context)")
  string(PREPEND fourge_static_libs "-lboost_context ")
endif()
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/fourgeConfig.cmake.in
  ${PROJECT_BINARY_DIR}/fourgeConfig.cmake INSTALL_DESTINATION ${fourge_package_directory})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/fourgeConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/fourgeConfig.cmake ${PROJECT_BINARY_DIR}/fourgeConfigVersion.cmake
  DESTINATION ${fourge_package_directory} COMPONENT fourge_development)

install(FILES ${PROJECT_SOURCE_DIR}/docs/manifest.schema.json
  DESTINATION ${CMAKE_INSTALL_DATADIR}/fourge COMPONENT fourge_development)

# Paths from the file's own place, so that the tree may be moved.
file(RELATIVE_PATH FOURGE_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" FOURGE_PC_PREFIX "${FOURGE_PC_PREFIX}")
set(FOURGE_PC_LIBS "")
set(FOURGE_PC_PRIVATE_LIBS "${fourge_static_libs}")
if(NOT fourge_installs_shared)
  set(FOURGE_PC_LIBS " ${fourge_static_libs}")
  set(FOURGE_PC_PRIVATE_LIBS "")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/fourge.pc.in ${PROJECT_BINARY_DIR}/fourge.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/fourge.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT fourge_development)

if(TARGET fourge_cli)
  install(TARGETS fourge_cli
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT fourge_command)
  # The command finds a shared library beside it, wherever both were installed.
  if(NOT fourge_installs_static)
    set_target_properties(fourge_cli PROPERTIES
      INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  endif()
  set(fourge_texts ${PROJECT_BINARY_DIR}/tools/texts)
  install(FILES ${fourge_texts}/fourge.1
    DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT fourge_command)
  install(FILES ${fourge_texts}/fourge.bash RENAME fourge COMPONENT fourge_command
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  # Debian's zsh looks elsewhere below /usr.
  install(CODE "
    set(directory \${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
    if(CMAKE_INSTALL_PREFIX STREQUAL /usr AND EXISTS /etc/debian_version)
      set(directory /usr/${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
    endif()
    file(INSTALL ${fourge_texts}/fourge.zsh DESTINATION \${directory} RENAME _fourge)"
    COMPONENT fourge_command)
  install(FILES ${fourge_texts}/fourge.fish COMPONENT fourge_command
    DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()

if(PROJECT_IS_TOP_LEVEL)
  include(FourgePackages)
endif()
