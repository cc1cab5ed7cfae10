--- The examples for C hosts: a training loop and an inference server, without Lua.

local mascon = require "mascon"
local nn = mascon.nn
local shell = require "spec.support.shell"

local folder = (os.getenv "MASCON_PROGRAM" or "build/mascon"):match "^(.*)/[^/]*$"

local run = shell.run

describe("the C tests", function()
  local headers = { "mascon", "mascon_io", "mascon_data", "mascon_model", "mascon_program", "mascon_host",
    "mascon_lua", "mascon_dlpack" }

  --- The parameters of every function of the headers, by name.
  local function declared()
    local functions = {}
    for _, header in ipairs(headers) do
      local text = shell.read("lib/" .. header .. ".h"):gsub("/%*.-%*/", "")
      for before, name, parameters in text:gmatch "MASCON_API%s+([^;()]-)([%w_]+)(%b());" do
        assert.is_truthy(before:match "%S")
        functions[name] = parameters
      end
    end
    return functions
  end

  it("try every function with wrong arguments", function()
    local tried, count = shell.read "spec/c/test_api_misuse.c", 0
    -- the loader is for Lua to call, numbers that have no wrong values, and what serves tests
    local without = { luaopen_mascon = true, mascon_profile = true, mascon_set_call_flags = true }
    for name, parameters in pairs(declared()) do
      if parameters ~= "(void)" and not without[name] and not name:match "^mascon_testing_" then
        count = count + 1
        assert.is_truthy(tried:find(name .. "(", 1, true), name .. " is not in spec/c/test_api_misuse.c")
      end
    end
    assert.is_true(count > 150, count)
  end)

  it("know every function that the library shows", function()
    if select(2, run "command -v nm") ~= 0 then
      pending "nm is not here"
    end
    local functions, count = declared(), 0
    for name in run(("nm -D --defined-only %s/libmascon.so"):format(folder)):gmatch " [TtWi] ([%w_]+)" do
      count = count + 1
      assert.is_truthy(functions[name], name .. " is in no header")
      functions[name] = nil
    end
    assert.is_true(count > 200, count)
    assert.is_nil(next(functions), tostring(next(functions)) .. " is in a header and not in the library")
  end)
end)

describe("the examples in C", function()
  local path = os.tmpname()

  teardown(function()
    os.remove(path)
    os.remove(path .. ".png")
  end)

  it("train a network", function()
    local text, status = run(folder .. "/mascon_example_train 160")
    assert.equal(0, status, text)
    local first = tonumber(text:match "step 1 loss ([%d.]+)")
    local last = tonumber(text:match "step 160 loss ([%d.]+)")
    assert.is_true(last < first - 0.2, text)
  end)

  it("answer pictures with a saved model", function()
    mascon.manual_seed(1)
    local net = nn.Sequential(nn.Conv2d(3, 4, 3, { padding = 1 }), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(),
      nn.Linear(4 * 8 * 8, 10))
    mascon.save_model(path, net, mascon.rand { 1, 3, 32, 32 })
    local picture = mascon.randint(0, 255, { 3, 32, 32 }):to "uint8"
    mascon.image.write(path .. ".png", picture)
    local input = path .. ".png\\n" .. path .. ".none\\n"
    local text, status = run(("printf '%s' | %s/mascon_example_server %s -"):format(input, folder, path))
    assert.equal(0, status, text)
    net:eval()
    local scores = mascon.no_grad(function()
      return net(picture:to("float32"):div(255):unsqueeze(1)):softmax(2)
    end)
    local class, score = text:match "^(%d+) ([%d.]+)\n"
    assert.equal(scores:argmax():item() - 1, tonumber(class))
    assert.is_near(scores:max():item(), tonumber(score), 1e-3)
    assert.matches("\nerror: [^\n]*no such file", text)
  end)

  it("say what is wrong", function()
    local text, status = run(("%s/mascon_example_server %s.none -"):format(folder, path))
    assert.equal(1, status)
    assert.matches("no such file", text)
  end)

  it("compile against the typed functions as C99 and as C++, without a warning", function()
    local flags = "-Wall -Wextra -Wshadow -Wconversion -Wpedantic -Werror -fsyntax-only -Ilib -I" .. folder
      .. "/include"
    for _, compiler in ipairs { "cc -std=c99 -x c", "c++ -std=c++11 -x c++" } do
      local _, missing = run("command -v " .. compiler:match "%S+")
      if missing == 0 then
        local text, status = run(("printf '#include \"mascon_ops.h\"\\n#include \"mascon_model.h\"\\n#include "
          .. "\"mascon_dlpack.h\"\\n' | %s %s -"):format(compiler, flags))
        assert.equal(0, status, text)
      end
    end
  end)
end)
