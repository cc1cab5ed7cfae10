-- What hosts use from Lua: tensors and values shared between states, models that run beside the caller,
-- output that goes elsewhere. Several states in several threads: spec/c/test_luaopen.c.
local mascon = require "mascon"
local nn = mascon.nn
local shell = require "spec.support.shell"

local function message_of(fn, ...)
  local good, message = pcall(fn, ...)
  assert.is_false(good)
  return message
end

describe("share and from_shared", function()
  it("hand over the same memory once", function()
    local t = mascon.tensor { 1, 2, 3 }
    local number = t:share()
    local u = mascon.from_shared(number)
    u[2] = 7
    assert.same({ 1, 7, 3 }, t:totable())
    assert.matches("from_shared: number %d+ was taken before", message_of(mascon.from_shared, number))
  end)

  it("keep the memory while the number waits", function()
    local number
    do
      local t = mascon.ones { 1000 }
      number = t:share()
      t:release()
    end
    collectgarbage()
    assert.equal(1000, mascon.from_shared(number):sum():item())
  end)

  it("refuse numbers that were never given", function()
    assert.matches("number 123456789 was not given by share in this process",
      message_of(mascon.from_shared, 123456789))
    assert.matches("from_shared: number is \"x\"; expected a whole number", message_of(mascon.from_shared, "x"))
  end)

  it("give a tensor outside of the graph", function()
    local x = mascon.ones({ 2 }, { requires_grad = true })
    assert.is_false(mascon.from_shared((x * 2):share()).requires_grad)
  end)
end)

describe("cached", function()
  it("makes a value once, and gives tensors over the same memory", function()
    local runs = 0
    local function make()
      runs = runs + 1
      return { weight = mascon.zeros { 2 }, names = { "a", "b" }, scale = 0.5 }
    end
    local first, second = mascon.cached("spec one", make), mascon.cached("spec one", make)
    assert.equal(1, runs)
    first.weight[1] = 3
    assert.equal(3, second.weight[1]:item())
    assert.same({ "a", "b" }, second.names)
    assert.equal(0.5, second.scale)
  end)

  it("tries again after an error", function()
    assert.matches("boom", message_of(mascon.cached, "spec two", function() error "boom" end))
    assert.equal(4, mascon.cached("spec two", function() return 4 end))
  end)

  it("refuses what cannot be shared, and itself inside", function()
    assert.matches("cached: value at f is a function", message_of(mascon.cached, "spec three", function()
      return { f = print }
    end))
    assert.matches('"spec four" is being made by this very function', message_of(mascon.cached, "spec four",
      function() return mascon.cached("spec four", function() return 1 end) end))
    assert.matches("cached: argument 2 is nil; expected a function", message_of(mascon.cached, "spec five"))
  end)
end)

describe("async", function()
  local path, net, model
  setup(function()
    mascon.manual_seed(3)
    path = os.tmpname()
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    mascon.save_model(path, net, mascon.randn { 2, 4 })
    model = mascon.load_model(path)
  end)
  teardown(function()
    os.remove(path)
  end)

  it("gives what the model gives", function()
    local jobs, x = {}, {}
    for i = 1, 10 do
      x[i] = mascon.randn { i, 4 }
      jobs[i] = mascon.async(model, x[i])
    end
    for i = 1, 10 do
      assert.is_true(mascon.allclose(jobs[i]:result(), model(x[i]), { rtol = 0, atol = 0 }))
      assert.is_true(jobs[i]:done())
      assert.is_true(mascon.allclose(jobs[i]:result(), model(x[i])))
    end
  end)

  it("raises the run's error at result()", function()
    local job = mascon.async(model, mascon.randn { 2, 5 })
    assert.matches("async: input has shape {2, 5}; the model takes {batch, 4}", message_of(job.result, job), 1, true)
    assert.matches("async: input has shape {2, 5}; the model takes {batch, 4}", message_of(job.result, job), 1, true)
  end)

  it("may be forgotten", function()
    local live = mascon.memory().tensors
    for _ = 1, 20 do
      mascon.async(model, mascon.randn { 2, 4 })
    end
    mascon.async(model, mascon.randn { 2, 4 }):result() -- the last in the queue
    collectgarbage()
    collectgarbage()
    for _ = 1, 1000 do
      if mascon.memory().tensors <= live then
        break
      end
      os.execute "sleep 0.01"
    end
    assert.is_true(mascon.memory().tensors <= live)
  end)

  it("says what it takes", function()
    assert.matches("async: argument 1 is a Sequential; expected a model of mascon.load_model",
      message_of(mascon.async, net, mascon.randn { 2, 4 }))
    assert.matches("Lua code cannot run in another thread", message_of(mascon.async, net))
    assert.matches("input input is nil; expected a tensor", message_of(mascon.async, model, nil))
  end)

  it("shares a model through cached", function()
    local a = mascon.cached("spec model", function() return { model = mascon.load_model(path) } end).model
    local b = mascon.cached("spec model", function() error "made twice" end).model
    local x = mascon.randn { 1, 4 }
    assert.is_true(mascon.allclose(a(x), b(x), { rtol = 0, atol = 0 }))
  end)
end)

describe("set_output", function()
  after_each(function()
    mascon.set_output(nil)
  end)

  it("takes progress bars and help", function()
    local got = {}
    mascon.set_output(function(text, stream) got[#got + 1] = { text, stream } end)
    for _ in mascon.tqdm(3, { desc = "spec" }) do end
    mascon.help "relu"
    mascon.set_output(nil)
    local bars, helps = 0, 0
    for _, each in ipairs(got) do
      if each[2] == "stderr" and each[1]:find "spec" then
        bars = bars + 1
      elseif each[2] == "stdout" and each[1]:find "relu" then
        helps = helps + 1
      end
    end
    assert.is_true(bars >= 1 and helps >= 1)
  end)

  it("refuses what is no function", function()
    assert.matches("set_output: argument 1 is 5; expected a function or nil", message_of(mascon.set_output, 5))
  end)
end)

describe("yielding inside a mode", function()
  it("is an error and leaves the mode", function()
    local co = coroutine.wrap(function()
      return message_of(mascon.no_grad, function() coroutine.yield() end)
    end)
    assert.matches("no_grad: the function given to it must not yield", co())
    assert.is_true(mascon.is_grad_enabled())
  end)

  it("is one in every function that sets a mode for another", function()
    for _, name in ipairs { "no_grad", "enable_grad", "inference_mode", "scope", "autocast", "profile" } do
      local fn = function() coroutine.yield() end
      local co = coroutine.wrap(function()
        return name == "autocast" and message_of(mascon.autocast, "bfloat16", fn) or message_of(mascon[name], fn)
      end)
      assert.matches(name .. ": the function given to it must not yield", co())
      assert.is_true(mascon.is_grad_enabled())
      assert.equal("float32", (mascon.ones { 2, 2 }:matmul(mascon.ones { 2, 2 })).dtype)
    end
  end)
end)

describe("require without the FFI", function()
  it("says what is needed", function()
    local program = [[package.preload.ffi = function() error "none" end package.loaded.ffi = nil ]]
      .. [[print(select(2, pcall(require, "mascon")))]]
    local text = shell.run(("luajit -e '%s'"):format(program))
    assert.equal('mascon needs LuaJIT with its FFI (require "ffi" failed); plain Lua cannot load it\n', text)
  end)
end)
