--- The examples for C hosts: a training loop and an inference server, without Lua.

local mascon = require "mascon"
local nn = mascon.nn

local folder = (os.getenv "MASCON_PROGRAM" or "build/mascon"):match "^(.*)/[^/]*$"

--- The output of a command, and its exit status.
local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1; echo \" $?\""))
  local text, status = pipe:read("*a"):match "^(.*) (%d+)%s*$"
  pipe:close()
  return text, tonumber(status)
end

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
