-- Installing: cmake --install, other projects that find the result, LuaJIT and the program from there, the
-- Debian package, the rock, and a program that carries mascon in itself.
local shell = require "spec.support.shell"

local here = io.popen("pwd"):read "*l"
local run, write = shell.run, shell.write
local library = os.getenv "MASCON_LIBRARY" or here .. "/build/libmascon.so"
local build = library:match "^(.*)/[^/]*$"
local folder, prefix, pkg_config

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
  good(("ln -s '%s' %s/plain"):format(prefix, folder)) -- compilers take flags with spaces badly
  pkg_config = ("PKG_CONFIG_PATH=%s pkg-config"):format(good(("find %s/plain/ -name pkgconfig"):format(folder)):match "[^\n]+")
  write(folder .. "/main.c", program)
end)

teardown(function()
  os.execute("rm -rf " .. folder)
end)

describe("an installed mascon", function()
  it("is found by pkg-config", function()
    good(("cd %s && cc -std=c99 -Wall -Wextra -Werror main.c -o by_pc $(%s --cflags --libs mascon) "
      .. "-Wl,-rpath,$(%s --variable=libdir mascon)"):format(folder, pkg_config, pkg_config))
    assert.equal("12\n", good(folder .. "/by_pc"))
  end)

  it("is linked into a program by its archive", function()
    if not run(("grep MASCON_SANITIZE: %s/CMakeCache.txt"):format(build)):find("=OFF", 1, true) then
      pending "an archive with a sanitizer in it needs that of its program"
    end
    good(("cmake --build %s --target mascon_static"):format(build)) -- -DMASCON_STATIC=ON installs it
    good(("cd %s && cc main.c -o by_archive $(%s --cflags mascon) %s/libmascon.a $(%s --static --libs-only-l mascon | "
      .. "sed s/-lmascon//)"):format(folder, pkg_config, build, pkg_config))
    assert.equal("12\n", good(("env -u LD_LIBRARY_PATH %s/by_archive"):format(folder)))
    assert.is_nil(good(("ldd %s/by_archive"):format(folder)):find("libmascon", 1, true))
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

  it("builds the examples for C hosts, by make and by CMake, which run", function()
    local c = folder .. "/c"
    good(("cp -r examples/embed/c %s"):format(c))
    good(("cd %s && PKG_CONFIG_PATH=$(dirname $(find %s/plain/ -name mascon.pc)) make CFLAGS='-O2 -Wall -Wextra -Werror'")
      :format(c, folder))
    good(("cd %s && cmake -S . -B out -DCMAKE_PREFIX_PATH='%s' && cmake --build out"):format(c, prefix))
    local model, picture = folder .. "/model.safetensors", folder .. "/picture.png"
    good(("cd / && env -u MASCON_LIBRARY -u LUA_PATH '%s/bin/mascon' -e '%s'"):format(prefix, ([[
      local mascon = require "mascon"
      local net = mascon.nn.Sequential(mascon.nn.Flatten(), mascon.nn.Linear(12, 2))
      mascon.no_grad(function() net[2].weight:zero_() net[2].bias[1], net[2].bias[2] = 0, math.log(3) end)
      mascon.save_model("%s", net, mascon.zeros { 1, 3, 2, 2 })
      mascon.image.write("%s", mascon.zeros({ 3, 5, 5 }, { dtype = "uint8" }))]]):format(model, picture)))
    local found = ("LD_LIBRARY_PATH=$(%s --variable=libdir mascon)"):format(pkg_config)
    for _, where in ipairs { c, c .. "/out" } do
      assert.matches("step 20 loss %d", good(("%s %s/train 20"):format(found, where)))
      assert.equal("1 0.7500\n", good(("echo %s | %s %s/server %s -"):format(picture, found, where, model)))
    end
  end)

  it("runs scripts by its program and by LuaJIT", function()
    write(folder .. "/script.lua", "local mascon = require 'mascon'; print(mascon.nn.Linear(2, 3)(mascon.ones{1, 2}).shape[2])")
    local clean = "cd / && env -u MASCON_LIBRARY -u LUA_PATH -u LUA_CPATH "
    assert.equal("3\n", good(("%s '%s/bin/mascon' %s/script.lua"):format(clean, prefix, folder)))
    local lua = prefix .. "/share/lua/5.1"
    assert(loadfile(lua .. "/mascon/meta.lua")) -- for editors
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

describe("the bundle", function()
  it("computes, tests and measures with nothing set and nothing of this folder", function()
    if not run(("grep MASCON_SANITIZE: %s/CMakeCache.txt"):format(build)):find("=OFF", 1, true) then
      pending "the sanitizers' libraries would have to come first"
    end
    local bundle = folder .. "/bundle here"
    good(("scripts/bundle --build %s '%s' && test -s '%s.tar.gz'"):format(build, bundle, bundle))
    local clean = ("cd %s && env -i PATH=/usr/bin:/bin HOME=%s '%s'/bin/"):format(folder, folder, bundle)
    assert.equal("6\n", good(clean .. "mascon -e 'print(require(\"mascon\").ones{2, 3}:sum():item())'"))
    assert.matches("\n%d+ passed, 0 failed\n$", good(clean .. "test --device cpu spec/tqdm_spec.lua"))
    assert.matches("| mascon | [%d.]+ |", good(clean .. "bench w4 --rounds 1 --seconds 0.02"))
    assert.matches('"workload": "w4", "runner": "mascon"', good(("cat %s/bench/bench.json"):format(folder)))
    local text, status = run(clean .. "test --device cuda:x")
    assert.equal(2, status, text)
    if select(2, run "test -e /dev/nvidiactl") ~= 0 then
      text, status = run(clean .. "test --device cuda spec/cuda_spec.lua")
      assert.equal(1, status)
      assert.matches("CUDA cannot be used here: ", text)
    end
  end)
end)

describe("uninstalling", function()
  it("removes what was installed and nothing else", function()
    local there = folder .. "/there"
    good(("mkdir -p %s/include %s/share/lua/5.1/mascon && touch %s/include/other.h"):format(there, there, there))
    good(("cmake --install %s --prefix %s && cmake --build %s --target uninstall"):format(build, there, build))
    assert.equal(there .. "/include/other.h\n", good(("find %s -type f -o -type l"):format(there)))
    assert.equal("", good(("find %s -name '*mascon*'"):format(there)))
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

  it("is built, used and removed by LuaRocks", function()
    if select(2, run "command -v luarocks") ~= 0 then
      pending "luarocks is not here"
    end
    -- From a copy, since LuaRocks builds inside the source folder; without optimisation, which takes minutes.
    local source, tree = folder .. "/source", folder .. "/rocks"
    good(("mkdir %s && cp -r CMakeLists.txt LICENSE README.md lib lua scripts %s/"):format(source, source))
    local ninja = select(2, run "command -v ninja") == 0 and "CMAKE_GENERATOR=Ninja " or ""
    local rocks = "luarocks --lua-version=5.1 "
    good(("cd %s && CMAKE_BUILD_TYPE=Debug %sCMAKE_BUILD_PARALLEL_LEVEL=$(nproc) MASCON_CUDA=OFF MASCON_DNNL_ROOT=%s "
      .. "%smake --tree %s scripts/mascon-scm-1.rockspec"):format(source, ninja,
      good(("sed -n s/^MASCON_DNNL_ROOT:PATH=//p %s/CMakeCache.txt"):format(build)):gsub("\n", ""), rocks, tree))
    local clean = ("cd / && env -u MASCON_LIBRARY -u LUA_PATH -u LUA_CPATH sh -c 'eval \"$(%spath --tree %s)\"; "):format(rocks, tree)
    write(folder .. "/rock.lua", "local mascon = require 'mascon'; print(mascon.nn.Linear(2, 3)(mascon.ones{1, 2}).shape[2])")
    assert.equal("3\n", good(("%sluajit %s/rock.lua'"):format(clean, folder)))
    assert.equal("3\n", good(("%s%s/bin/mascon %s/rock.lua'"):format(clean, tree, folder)))
    good(("%sremove --tree %s mascon"):format(rocks, tree))
    assert.equal("", good(("find %s -name '*mascon*'"):format(tree)))
  end)
end)
