--- The program: scripts, arguments, exit codes, Ctrl-C.

local shell = require "spec.support.shell"
local program = os.getenv "MASCON_PROGRAM" or "build/mascon"

local write = shell.temporary

--- Runs a shell command; its exit code and what it printed on both outputs.
local function run(command)
  local text, status = shell.run(command)
  return status, text
end

--- Runs a script, sends SIGINT after some seconds; code, text and seconds until it ended.
local function interrupt(script, signals)
  local path = write(script)
  local kills = {}
  for _ = 1, signals do
    kills[#kills + 1] = "sleep 0.6; kill -INT $pid 2>/dev/null"
  end
  local command = ("%s %s & pid=$!; (%s) & wait $pid"):format(program, path, table.concat(kills, "; "))
  local begun = os.time()
  -- a background job ignores SIGINT unless the shell has job control
  local code, text = run("bash -mc '" .. command .. "'")
  os.remove(path)
  return code, text, os.time() - begun
end

describe("the program", function()
  it("runs a script with its arguments", function()
    local path = write 'print(arg[0] ~= nil, arg[1], arg[2], ...)'
    local code, text = run(("%s %s one two"):format(program, path))
    os.remove(path)
    assert.equal(0, code)
    assert.equal("true\tone\ttwo\tone\ttwo\n", text)
  end)

  it("runs code given on the line", function()
    local code, text = run(program .. [[ -e 'print(require("mascon").ones{2}:sum():item())']])
    assert.equal(0, code)
    assert.equal("2\n", text)
  end)

  it("ends with a traceback and a code on an error", function()
    local path = write 'local function inner() error "broken" end\ninner()\n'
    local code, text = run(program .. " " .. path)
    os.remove(path)
    assert.equal(1, code)
    assert.is_truthy(text:find("broken", 1, true))
    assert.is_truthy(text:find("traceback", 1, true))
  end)

  it("closes the state at the end, so that finalisers run", function()
    local code, text = run(program ..
      [[ -e 'local p = newproxy(true) getmetatable(p).__gc = function() print "closed" end keep = p']])
    assert.equal(0, code)
    assert.equal("closed\n", text)
  end)

  it("names a script that is missing", function()
    local code, text = run(program .. " no_such_file.lua")
    assert.equal(1, code)
    assert.is_truthy(text:find("no_such_file.lua", 1, true))
  end)

  it("says that a limit and not the machine refuses memory", function() -- ulimit -v
    if (os.getenv "LD_PRELOAD" or ""):match "[at]san" then
      pending "a sanitizer maps more than any limit"
      return
    end
    local code, text = run("(ulimit -v 600000; " .. program .. [[ -e 'local m, t = require "mascon", {}
      for i = 1, 100 do t[i] = m.ones(1e7) end') 2>&1]])
    assert.equal(1, code, text)
    assert.is_truthy(text:find("40.0 MB needed", 1, true), text)
    assert.is_truthy(text:find("free on cpu, but the request was refused; a limit", 1, true), text)
  end)

  it("names a library that is another one", function()
    local code, text = run([[MASCON_LIBRARY=libm.so.6 luajit -e '
      package.path = "lua/?.lua;lua/?/init.lua;" .. package.path require "mascon"' 2>&1]])
    assert.equal(1, code)
    assert.is_truthy(text:find("mascon: libm.so.6 is not mascon's library", 1, true), text)
  end)

  it("require prints nothing and sets no global", function()
    local code, text = run(program .. [[ -e 'local before = {} for k in pairs(_G) do before[k] = true end
      require "mascon" for k in pairs(_G) do if not before[k] then print(k) end end']])
    assert.equal(0, code)
    assert.equal("", text)
  end)

  it("ends a loop of operations at Ctrl-C with an error", function()
    local code, text, seconds = interrupt([[
      local m = require "mascon"
      local x = m.ones{1000}
      while true do x = x * 1 end]], 1)
    assert.equal(130, code)
    assert.is_truthy(text:find("interrupted", 1, true), text)
    assert.is_truthy(text:find("traceback", 1, true), text)
    assert.is_true(seconds <= 3)
  end)

  it("ends a loop that prints", function()
    local code, text = interrupt("while true do io.stdout:write '' print '' end", 1)
    assert.equal(130, code)
    assert.is_truthy(text:find("interrupted", 1, true))
  end)

  it("ends a wait on a loader", function()
    local code, text = interrupt([[
      local m = require "mascon"
      local ds = m.datasets.FakeData { size = 256, transform = m.transforms.ToTensor() }
      local loader = m.data.DataLoader(ds, { batch_size = 8, num_workers = 1 })
      while true do for X, y in loader() do end end]], 1)
    assert.equal(130, code)
    assert.is_truthy(text:find("interrupted", 1, true), text)
  end)

  it("ends a pure Lua loop at the second Ctrl-C with a message", function()
    local code, text = interrupt("local i = 0 while true do i = i + 1 end", 2)
    assert.equal(130, code)
    assert.is_truthy(text:find("interrupted", 1, true), text)
  end)
end)
