-- luarocks make scripts/mascon-scm-1.rockspec: builds with CMake for LuaJIT (or a Lua 5.1 tree that LuaJIT uses).
rockspec_format = "3.0"
package = "mascon"
version = "scm-1"
source = { url = "." }
description = {
  summary = "Deep learning framework for Lua and C",
  detailed = "Tensors, layers, training and data loading in C under LuaJIT. Needs LuaJIT with its FFI, CMake, "
    .. "oneDNN, libjpeg, libpng and zlib with their headers; scripts/setup installs them on Debian and Ubuntu.",
  license = "MIT",
}
dependencies = { "lua >= 5.1, < 5.2" }
build = {
  type = "cmake",
  variables = {
    CMAKE_BUILD_TYPE = "Release",
    CMAKE_INSTALL_PREFIX = "$(PREFIX)",
    CMAKE_INSTALL_LIBDIR = "$(LIBDIR)",
    CMAKE_INSTALL_BINDIR = "$(BINDIR)",
    MASCON_LUADIR = "$(LUADIR)",
    BUILD_TESTING = "OFF",
  },
}
