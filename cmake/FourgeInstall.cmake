# cmake --install: the library, its headers, the fourge command (tools/) and a package that
# find_package(fourge) finds and that gives fourge::fourge.
include(CMakePackageConfigHelpers)

set(fourge_package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/fourge)

install(TARGETS fourge fourge_headers EXPORT fourgeTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/runtime/include/fourge
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp")
install(EXPORT fourgeTargets NAMESPACE fourge:: DESTINATION ${fourge_package_directory})

# What a static library leaves to its consumer's linker; a shared one has it all.
get_target_property(fourge_type fourge TYPE)
set(FOURGE_PACKAGE_DEPENDENCIES "")
if(fourge_type STREQUAL "STATIC_LIBRARY")
  set(FOURGE_PACKAGE_DEPENDENCIES "find_dependency(Threads)
find_dependency(fmt)
find_dependency(OpenSSL COMPONENTS Crypto)")
  if(TARGET Boost::context)
    string(APPEND FOURGE_PACKAGE_DEPENDENCIES "\nfind_dependency(Boost COMPONENTS context)")
  endif()
endif()
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/fourgeConfig.cmake.in
  ${PROJECT_BINARY_DIR}/fourgeConfig.cmake INSTALL_DESTINATION ${fourge_package_directory})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/fourgeConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/fourgeConfig.cmake ${PROJECT_BINARY_DIR}/fourgeConfigVersion.cmake
  DESTINATION ${fourge_package_directory})

# The command finds a shared library beside it, wherever both were installed.
if(TARGET fourge_cli AND NOT fourge_type STREQUAL "STATIC_LIBRARY")
  set_target_properties(fourge_cli PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
endif()
