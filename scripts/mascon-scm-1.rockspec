-- luarocks --lua-version=5.1 make scripts/mascon-scm-1.rockspec: builds with CMake, for LuaJIT.
-- The environment decides, where it says anything: CMAKE_BUILD_TYPE, CMAKE_GENERATOR, CMAKE_BUILD_PARALLEL_LEVEL,
-- CMAKE_C_COMPILER_LAUNCHER (ccache), MASCON_CUDA (OFF: no CUDA backend), MASCON_DNNL_ROOT.
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
    CMAKE_INSTALL_PREFIX = "$(PREFIX)",
    CMAKE_INSTALL_LIBDIR = "$(LIBDIR)",
    CMAKE_INSTALL_BINDIR = "$(BINDIR)",
    MASCON_LUADIR = "$(LUADIR)",
    -- LuaRocks moves the files into the tree: no links among them, and the program looks there.
    CMAKE_PLATFORM_NO_VERSIONED_SONAME = "ON",
    CMAKE_INSTALL_RPATH = "\\$ORIGIN/../lib/lua/5.1",
    MASCON_DEVELOPMENT = "OFF",
    BUILD_TESTING = "OFF",
  },
}
