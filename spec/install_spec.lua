-- Installing: cmake --install, other projects that find the result, LuaJIT and the program from there, the
-- Debian package, the rock, and a program that carries mascon in itself.
local shell = require "spec.support.shell"

local here = io.popen("pwd"):read "*l"
local run, write = shell.run, shell.write
local library = os.getenv "MASCON_LIBRARY" or here .. "/build/libmascon.so"
local build = library:match "^(.*)/[^/]*$"
local folder, prefix

local function good(command)
  local text, status = run(command)
  assert.equal(0, status, command .. "\n" .. text)
  return text
end

local program = [[
#include <mascon_ops.h>
#include <stdio.h>
int main(void) {
    mascon_tensor *x = NULL, *y = NULL;
    const int64_t shape[] = {2, 3};
    const double values[] = {-1, 2, -3, 4, -5, 6};
    double sum = 0;
    if (mascon_tensor_new(&x, MASCON_DTYPE_F32, 2, shape, MASCON_DEVICE_CPU) != MASCON_OK ||
        mascon_tensor_write(x, values) != MASCON_OK || mascon_relu(&y, x) != MASCON_OK) {
        fprintf(stderr, "%s\n", mascon_last_error()->message);
        return 1;
    }
    double out[6];
    mascon_tensor_read(y, out);
    for (int i = 0; i < 6; i++) sum += out[i];
    printf("%g\n", sum);
    mascon_tensor_release(x);
    mascon_tensor_release(y);
    return 0;
}
]]

setup(function()
  folder = os.tmpname()
  os.remove(folder)
  prefix = folder .. "/prefix with space"
  good(("mkdir -p %s && cmake --install %s --prefix '%s'"):format(folder, build, prefix))
  write(folder .. "/main.c", program)
end)

teardown(function()
  os.execute("rm -rf " .. folder)
end)

describe("an installed mascon", function()
  it("is found by pkg-config", function()
    local plain = folder .. "/plain" -- compilers take flags with spaces badly
    good(("ln -s '%s' %s"):format(prefix, plain))
    local pc = good(("find %s/ -name pkgconfig"):format(plain)):match "[^\n]+"
    local flags = good(("PKG_CONFIG_PATH=%s pkg-config --cflags --libs mascon"):format(pc)):gsub("\n", "")
    good(("cd %s && cc -std=c99 -Wall -Wextra -Werror main.c -o by_pc %s -Wl,-rpath,$(dirname %s)"):format(folder, flags, pc))
    assert.equal("12\n", good(folder .. "/by_pc"))
  end)

  it("is found by find_package", function()
    write(folder .. "/CMakeLists.txt", [[
      cmake_minimum_required(VERSION 3.16)
      project(outside LANGUAGES C)
      find_package(mascon 0.1 REQUIRED)
      add_executable(by_cmake main.c)
      target_link_libraries(by_cmake PRIVATE mascon::mascon)]])
    good(("cd %s && cmake -S . -B out -DCMAKE_PREFIX_PATH='%s' && cmake --build out"):format(folder, prefix))
    assert.equal("12\n", good(folder .. "/out/by_cmake"))
  end)

  it("runs scripts by its program and by LuaJIT", function()
    write(folder .. "/script.lua", "local mascon = require 'mascon'; print(mascon.nn.Linear(2, 3)(mascon.ones{1, 2}).shape[2])")
    local clean = "cd / && env -u MASCON_LIBRARY -u LUA_PATH -u LUA_CPATH "
    assert.equal("3\n", good(("%s '%s/bin/mascon' %s/script.lua"):format(clean, prefix, folder)))
    local lua = prefix .. "/share/lua/5.1"
    assert.equal("3\n", good(("%s LUA_PATH='%s/?.lua;%s/?/init.lua;;' luajit %s/script.lua"):format(clean, lua, lua, folder)))
  end)

  it("needs no Lua files: the library carries them", function()
    good(("rm -rf '%s/share/lua'"):format(prefix))
    assert.equal("3\n", good(("cd / && env -u MASCON_LIBRARY -u LUA_PATH '%s/bin/mascon' %s/script.lua"):format(prefix, folder)))
    assert.equal("7\n", good(("cd / && echo '3 + 4' | env -u LUA_PATH '%s/bin/mascon' -e 'print(3 + 4)'"):format(prefix)))
    -- what is not mascon's own is shown in a traceback, mascon's files are not
    local text, status = run(("cd / && env -u LUA_PATH '%s/bin/mascon' -e 'require(\"mascon\").ones{2}:view{3}'"):format(prefix))
    assert.equal(1, status)
    assert.matches("%(command line%):1: view: ", text)
    assert.is_nil(text:find("mascon/ffi.lua", 1, true))
  end)

  it("exports its own functions and nothing else", function()
    local found = good(("find '%s' -name 'libmascon.so.*.*'"):format(prefix)):match "[^\n]+"
    for name in good(("nm -D --defined-only '%s'"):format(found)):gmatch " [A-Za-z] ([%w_]+)" do
      assert.is_true(name:match "^mascon_" ~= nil or name == "luaopen_mascon", name .. " is exported")
    end
    assert.matches("SONAME[^\n]*libmascon.so.0", good(("readelf -d '%s'"):format(found)))
  end)
end)

describe("the Debian package", function()
  it("installs and goes away without a trace", function()
    if select(2, run "command -v dpkg-shlibdeps") ~= 0 then
      pending "dpkg-dev is not here"
    end
    good(("cd %s && cpack -G DEB -B %s/deb"):format(build, folder))
    local deb = good(("ls %s/deb/*.deb"):format(folder)):match "[^\n]+"
    assert.matches("Depends: .*libdnnl", good("dpkg-deb --info " .. deb))
    local root = folder .. "/root"
    good(("mkdir -p %s/var/lib/dpkg/updates %s/var/lib/dpkg/info %s/var/log && touch %s/var/lib/dpkg/status"):format(root, root, root, root))
    local dpkg = ("dpkg --root=%s --force-not-root --force-depends --force-script-chrootless --log=%s/log"):format(root, folder)
    good(("PATH=$PATH:/sbin:/usr/sbin %s -i %s"):format(dpkg, deb))
    assert.equal("6\n", good(("cd / && LD_LIBRARY_PATH=$(dirname $(find %s -name libmascon.so)) env -u MASCON_LIBRARY -u LUA_PATH "
      .. "%s/usr/bin/mascon -e 'print(require(\"mascon\").ones{2, 3}:sum():item())'"):format(root, root)))
    good(("PATH=$PATH:/sbin:/usr/sbin %s -P mascon"):format(dpkg))
    assert.equal("", good(("find %s -name '*mascon*' -not -path '*/log*'"):format(root)))
  end)
end)

describe("the rock", function()
  it("describes a build with CMake for Lua 5.1", function()
    local rock = setmetatable({}, { __index = _G })
    setfenv(assert(loadfile "scripts/mascon-scm-1.rockspec"), rock)()
    assert.equal("mascon", rock.package)
    assert.equal("cmake", rock.build.type)
    local text = good("cat CMakeLists.txt scripts/cmake/install.cmake")
    for name in pairs(rock.build.variables) do -- a variable that CMake does not know would be ignored
      assert.is_true(name:match "^CMAKE_" ~= nil or name == "BUILD_TESTING" or text:find(name, 1, true) ~= nil, name)
    end
  end)
end)
