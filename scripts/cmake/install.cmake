# install.cmake: what `cmake --install` puts where, for C hosts, Lua and package makers.
#
#   lib/libmascon.so.0        the library; lib/libmascon.a with -DMASCON_STATIC=ON
#   include/mascon*.h         the headers
#   bin/mascon                the program
#   share/lua/5.1/mascon/     the Lua files, where LuaJIT looks (MASCON_LUADIR), and meta.lua for editors
#   lib/pkgconfig/mascon.pc, lib/cmake/mascon/   for pkg-config and find_package(mascon)
# Headers and what finds the library are left out with -DMASCON_DEVELOPMENT=OFF.
include(CMakePackageConfigHelpers)

set(MASCON_LUADIR ${CMAKE_INSTALL_DATADIR}/lua/5.1 CACHE STRING "Folder for the Lua files")
option(MASCON_STATIC "Also make libmascon.a" OFF)
option(MASCON_DEVELOPMENT "Install what C programs are built with" ON)

# ---- The static library: one object, so that kernels found by weak references come along ----

# Made for its test (test_static in CMakeLists.txt) where nobody else asks for it. What a program that is
# linked with it needs beside it stands in mascon.pc too, under Libs.private.
set(whole ${CMAKE_BINARY_DIR}/mascon_whole.o)
add_custom_command(OUTPUT ${whole}
  COMMAND ${CMAKE_LINKER} -r -o ${whole} $<TARGET_OBJECTS:mascon_objects>
  COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${whole}
  DEPENDS mascon_objects $<TARGET_OBJECTS:mascon_objects> COMMAND_EXPAND_LISTS VERBATIM)
add_library(mascon_static STATIC EXCLUDE_FROM_ALL ${whole})
set_target_properties(mascon_static PROPERTIES OUTPUT_NAME mascon LINKER_LANGUAGE C)
set_source_files_properties(${whole} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
if(MASCON_DNNL_ROOT)
  set(static_dnnl ${MASCON_DNNL_LIBRARY})
else()
  set(static_dnnl -ldnnl)
endif()
set(static_needs ${static_dnnl} -ljpeg -lpng -lz -lpthread -ldl -lm)
target_link_libraries(mascon_static INTERFACE ${static_needs})
list(JOIN static_needs " " pc_needs)

# ---- Files ----

foreach(target mascon mascon_static)
  target_include_directories(${target} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
install(TARGETS mascon EXPORT mascon LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS mascon_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY lua/mascon DESTINATION ${MASCON_LUADIR} FILES_MATCHING PATTERN "*.lua")
install(FILES ${mascon_annotations} DESTINATION ${MASCON_LUADIR}/mascon)
if(TARGET mascon_cuda)
  install(TARGETS mascon_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
if(MASCON_STATIC)
  set_target_properties(mascon_static PROPERTIES EXCLUDE_FROM_ALL OFF)
  install(TARGETS mascon_static EXPORT mascon ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()

# ---- How other projects find it ----

# The file says where it lies, so that the folder may be moved, but for folders given as absolute paths.
if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR})
  set(pc_prefix ${CMAKE_INSTALL_PREFIX})
else()
  file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  set(pc_prefix "\${pcfiledir}/${pc_prefix}")
endif()
foreach(name LIBDIR INCLUDEDIR)
  set(pc_${name} "\${prefix}/${CMAKE_INSTALL_${name}}")
  if(IS_ABSOLUTE ${CMAKE_INSTALL_${name}})
    set(pc_${name} ${CMAKE_INSTALL_${name}})
  endif()
endforeach()
configure_file(scripts/cmake/mascon.pc.in mascon.pc @ONLY)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/mascon)
configure_package_config_file(scripts/cmake/masconConfig.cmake.in masconConfig.cmake
                              INSTALL_DESTINATION ${package})
write_basic_package_version_file(masconConfigVersion.cmake COMPATIBILITY SameMinorVersion)
if(MASCON_DEVELOPMENT)
  install(FILES lib/mascon.h lib/mascon_io.h lib/mascon_data.h lib/mascon_model.h
                lib/mascon_program.h lib/mascon_host.h lib/mascon_lua.h lib/mascon_dlpack.h
                ${CMAKE_BINARY_DIR}/include/mascon_ops.h
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(FILES ${CMAKE_BINARY_DIR}/mascon.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  install(EXPORT mascon NAMESPACE mascon:: FILE masconTargets.cmake DESTINATION ${package})
  install(FILES ${CMAKE_BINARY_DIR}/masconConfig.cmake
                ${CMAKE_BINARY_DIR}/masconConfigVersion.cmake DESTINATION ${package})
endif()

# ---- Away again: cmake --build BUILD --target uninstall, after an installation from this build folder ----

add_custom_target(uninstall
  COMMAND ${CMAKE_COMMAND} -DMANIFEST=${CMAKE_BINARY_DIR}/install_manifest.txt
          -P ${CMAKE_SOURCE_DIR}/scripts/cmake/uninstall.cmake VERBATIM)

# ---- A Debian package: cpack -G DEB in the build folder ----

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME mascon)
set(CPACK_PACKAGE_CONTACT "the mascon developers <mascon@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "deep learning framework for Lua and C")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "luajit, gnuplot-nox | gnuplot-qt | gnuplot-x11")
include(CPack)
