--- The same seed gives the same bits: run by run, for any number of threads.

local m = require "mascon"
local N = require "spec.support.networks"

--- The weights after some steps, as one list of numbers.
local function train(threads)
  local before = m.get_num_threads()
  m.set_num_threads(threads)
  m.manual_seed(5)
  local model = N.SimpleCNN(3, 10, 10)
  local optimizer = m.optim.Adam(model:parameters(), { lr = 1e-3 })
  local loss_fn = m.nn.CrossEntropyLoss()
  for _ = 1, 5 do
    local x, y = N.batch(9)
    N.step(model, optimizer, loss_fn, x, m.nn.functional.dropout(y:float(), { p = 0 }):long())
  end
  m.set_num_threads(before)
  local all = {}
  for name, p in model:named_parameters() do
    all[name] = p:flatten():totable()
  end
  return all
end

describe("training", function()
  it("repeats bit for bit", function()
    assert.same(train(2), train(2))
  end)

  it("gives the same bits for 1, 2 and 4 threads", function()
    local one = train(1)
    assert.same(one, train(2))
    assert.same(one, train(4))
  end)
end)

describe("random masks", function()
  it("do not depend on the memory layout", function()
    local x = m.ones { 2, 3, 8, 8 }
    local y = require "mascon.create".new_nhwc("x", x.shape)
    y:copy_(x)
    m.manual_seed(3)
    local a = m.nn.functional.dropout(x)
    m.manual_seed(3)
    local b = m.nn.functional.dropout(y)
    assert.same(a:totable(), b:totable())
  end)
end)
