# cpack -G DEB: fourge (the command), libfourgeX.Y (the shared library), libfourge-dev. Made on the
# distribution that they are for.
set(CPACK_PACKAGE_NAME fourge)
set(CPACK_PACKAGE_VENDOR fourge)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "NVFP4 kernels, compiled on first use and cached")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_STRIP_FILES ON)
set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL fourge_development)
if(TARGET fourge_cli)
  list(APPEND CPACK_COMPONENTS_ALL fourge_command)
endif()
if(fourge_installs_shared)
  list(APPEND CPACK_COMPONENTS_ALL fourge_runtime)
endif()

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "fourge <fourge@localhost>")
set(CPACK_DEBIAN_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY "=")

set(fourge_library_package libfourge${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
# NVRTC and the driver are loaded at run time, and what has neither is still of use.
set(fourge_suggestions "libnvrtc12, cuda-nvrtc-13-0, cuda-nvrtc-12-9, g++")
set(CPACK_DEBIAN_FOURGE_COMMAND_PACKAGE_NAME fourge)
set(CPACK_DEBIAN_FOURGE_COMMAND_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_FOURGE_COMMAND_PACKAGE_SUGGESTS "${fourge_suggestions}")
if(NOT fourge_installs_static)  # the command is linked to the shared library, which is not installed here
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/runtime)
  set(CPACK_DEBIAN_FOURGE_COMMAND_PACKAGE_DEPENDS "${fourge_library_package} (= ${PROJECT_VERSION})")
endif()
set(CPACK_COMPONENT_FOURGE_COMMAND_DESCRIPTION "The command fourge, its manual page and completions")
set(CPACK_DEBIAN_FOURGE_RUNTIME_PACKAGE_NAME ${fourge_library_package})
set(CPACK_DEBIAN_FOURGE_RUNTIME_PACKAGE_SUGGESTS "${fourge_suggestions}")
set(CPACK_COMPONENT_FOURGE_RUNTIME_DESCRIPTION "The shared library libfourge")
set(CPACK_DEBIAN_FOURGE_DEVELOPMENT_PACKAGE_NAME libfourge-dev)
set(CPACK_DEBIAN_FOURGE_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_FOURGE_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)
set(CPACK_COMPONENT_FOURGE_DEVELOPMENT_DESCRIPTION
  "Headers, static library and CMake and pkg-config packages of libfourge")
if(fourge_installs_shared)
  set(CPACK_DEBIAN_FOURGE_DEVELOPMENT_PACKAGE_DEPENDS
    "${fourge_library_package} (= ${PROJECT_VERSION})")
endif()
if(fourge_installs_static)
  set(CPACK_DEBIAN_FOURGE_DEVELOPMENT_PACKAGE_RECOMMENDS
    "libfmt-dev, libssl-dev, libboost-context-dev")
endif()

install(FILES ${PROJECT_SOURCE_DIR}/LICENSE RENAME copyright
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libfourge-dev COMPONENT fourge_development)
if(TARGET fourge_cli)
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE RENAME copyright
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/fourge COMPONENT fourge_command)
endif()
if(fourge_installs_shared)
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE RENAME copyright
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${fourge_library_package} COMPONENT fourge_runtime)
endif()
include(CPack)
