--- Memory that Lua's collector cannot see: deterministic release first, then the byte budget.

local m = require "mascon"
local N = require "spec.support.networks"

local MB = 2 ^ 20

local function settle()
  collectgarbage()
  collectgarbage()
end

describe("memory", function()
  it("of dropped tensors stays bounded with no collectgarbage in the script", function()
    settle()
    local most = 0
    for _ = 1, 3000 do
      local _ = m.empty { 2 ^ 18 } -- 1 MB, dropped at once
      most = math.max(most, m.memory().live)
    end
    assert.is_true(most < 400 * MB, ("%.0f MB were alive"):format(most / MB))
  end)

  it("stays bounded when the script holds much Lua data", function()
    local hoard = {}
    for i = 1, 400000 do
      hoard[i] = { i }
    end
    local most = 0
    for _ = 1, 3000 do
      local _ = m.empty { 2 ^ 18 }
      most = math.max(most, m.memory().live)
    end
    assert.is_true(#hoard == 400000)
    assert.is_true(most < 400 * MB, ("%.0f MB were alive"):format(most / MB))
  end)

  it("is given back by release, and a use afterwards is an error", function()
    settle()
    local before = m.memory().live
    local x = m.zeros { 2 ^ 18 }
    assert.is_true(m.memory().live >= before + MB)
    x:release()
    assert.equal(before, m.memory().live)
    local good, err = pcall(function() return x + 1 end)
    assert.is_false(good)
    assert.is_truthy(err:find("tensor was released", 1, true), err)
  end)

  it("of a training loop is flat", function()
    m.manual_seed(2)
    local model = N.SimpleCNN(3, 4, 10, 8)
    local optimizer = m.optim.Adam(model:parameters())
    local loss_fn = m.nn.CrossEntropyLoss()
    local x, y = N.batch(4, 8)
    local function steps(n)
      for _ = 1, n do
        N.step(model, optimizer, loss_fn, x, y)
      end
      settle()
      local memory = m.memory()
      return { memory.live, memory.tensors, memory.nodes }
    end
    local before = steps(50)
    assert.same(before, steps(200))
  end)

  it("counters return to where they were after errors", function()
    settle()
    local before = m.memory()
    for _ = 1, 100 do
      pcall(function() return m.zeros { 2, 3 } + m.zeros { 4, 3 } end)
    end
    settle()
    assert.equal(before.tensors, m.memory().tensors)
    assert.equal(before.live, m.memory().live)
  end)

  it("keeps a released module's library loaded", function()
    local x = m.zeros { 2 }
    package.loaded["mascon"] = nil
    local again = require "mascon"
    assert.same({ 1, 1 }, (x + 1):totable())
    assert.same({ 2, 2 }, (again.ones { 2 } + x + 1):totable())
    package.loaded["mascon"] = m
  end)
end)
