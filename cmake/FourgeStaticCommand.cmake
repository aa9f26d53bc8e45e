# A process of the fourge command lives for milliseconds, and half of the time until main is the dynamic linker's, which
# binds libstdc++, libfmt and libcrypto symbol by symbol (docs/jit_speed.md). So the command is linked with their static
# libraries where these can be had; libfourge, which others link, is not.
option(FOURGE_STATIC_COMMAND "Link the fourge command with static libraries where there are any" ON)

# Sets FOURGE_STATIC_ARCHIVES to what takes the shared libraries' place, or leaves it empty and says why.
set(FOURGE_STATIC_ARCHIVES "")
set(reason "")
if(NOT FOURGE_STATIC_COMMAND)
  set(reason "FOURGE_STATIC_COMMAND is off")
elseif(FOURGE_SANITIZE OR BUILD_SHARED_LIBS)
  set(reason "not with sanitizers or a shared libfourge")
else()
  get_filename_component(crypto_directory "${OPENSSL_CRYPTO_LIBRARY}" DIRECTORY)
  find_library(FOURGE_CRYPTO_ARCHIVE libcrypto.a HINTS "${crypto_directory}")
  if(TARGET Boost::context)
    find_library(FOURGE_BOOST_CONTEXT_ARCHIVE libboost_context.a HINTS "${Boost_LIBRARY_DIRS}" "${crypto_directory}")
    set(boost ${FOURGE_BOOST_CONTEXT_ARCHIVE})
  endif()
  set(archives ${FOURGE_CRYPTO_ARCHIVE} ${boost})
  if(archives MATCHES "NOTFOUND")
    set(reason "a static library was not found: ${archives}")
  else()
    get_target_property(fmt_includes fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT fmt_includes)
      set(fmt_includes "")
    endif()
    try_compile(FOURGE_LINKS_STATICALLY
      SOURCES ${PROJECT_SOURCE_DIR}/tools/fmt_instances.cpp ${PROJECT_SOURCE_DIR}/cmake/static_command_check.cpp
      CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${fmt_includes};${OPENSSL_INCLUDE_DIR}"
      LINK_OPTIONS -static-libstdc++
      LINK_LIBRARIES ${archives} Threads::Threads ${CMAKE_DL_LIBS}
      CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON)
    if(FOURGE_LINKS_STATICALLY)
      set(FOURGE_STATIC_ARCHIVES ${archives})
    else()
      set(reason "a program of libfmt, libcrypto and libstdc++ could not be linked so")
    endif()
  endif()
endif()
if(FOURGE_STATIC_ARCHIVES)
  message(STATUS "fourge: the command: static libstdc++, libfmt, libcrypto")
else()
  message(STATUS "fourge: the command: shared libraries (${reason})")
endif()

# The archives come with libfourge wherever it stands on the linker's line, so that nothing is left for the
# shared libraries to define; --as-needed then leaves those out.
function(fourge_link_statically target)
  if(FOURGE_STATIC_ARCHIVES)
    list(JOIN FOURGE_STATIC_ARCHIVES "," archives)
    target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tools/fmt_instances.cpp)
    target_link_options(${target} PRIVATE -static-libstdc++ LINKER:--as-needed)
    target_link_libraries(${target} PRIVATE "$<LINK_GROUP:RESCAN,fourge,${archives}>")
  else()
    target_link_libraries(${target} PRIVATE fourge)
  endif()
endfunction()
