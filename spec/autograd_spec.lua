--- Recording, backward, modes, scopes and functions written in Lua.

local m = require "mascon"

local function leaf(values)
  return m.tensor(values, { requires_grad = true })
end

describe("backward", function()
  it("accumulates into leaves until the gradient is cleared", function()
    local x = leaf { 1, 2, 3 }
    ; (x * x):sum():backward()
    assert.same({ 2, 4, 6 }, x.grad:totable())
    ; (x * x):sum():backward()
    assert.same({ 4, 8, 12 }, x.grad:totable())
    x.grad = nil
    assert.is_nil(x.grad)
  end)

  it("adds the gradients of a tensor used several times", function()
    local x = leaf { 2 }
    local y = x * 3
    ; (y * y + y):sum():backward()
    assert.same({ 2 * 6 * 3 + 3 }, x.grad:totable())
  end)

  it("takes a gradient for a tensor that is no scalar", function()
    local x = leaf { 1, 2 }
    ; (x * 2):backward(m.tensor { 10, 100 })
    assert.same({ 20, 200 }, x.grad:totable())
  end)

  it("keeps the graph on request", function()
    local x = leaf { 3 }
    local y = (x * x):sum()
    y:backward { retain_graph = true }
    y:backward()
    assert.same({ 12 }, x.grad:totable())
  end)

  it("frees the graph at once", function()
    local x = leaf { 1, 2 }
    local loss = (x * x):exp():sum()
    assert.is_true(m.memory().nodes >= 3)
    loss:backward()
    loss = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal(0, m.memory().nodes)
  end)

  it("frees a chain of ten thousand operations without recursion", function()
    local x = leaf { 1 }
    local y = x
    for _ = 1, 10000 do
      y = y + 1
    end
    y = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal(0, m.memory().nodes)
    local z = x
    for _ = 1, 10000 do
      z = z * 1
    end
    z:sum():backward()
    assert.same({ 1 }, x.grad:totable())
  end)

  it("gives a gradient memory of its own", function()
    local x, y = leaf { 1, 2 }, leaf { 3, 4 }
    ; (x + y):sum():backward()
    local gx, gy = x.grad, y.grad
    gx:add_(1)
    assert.same({ 1, 1 }, gy:totable())
  end)

  it("notices a saved tensor that was changed, only where it matters", function()
    local x = leaf { 1, 2 }
    local y = x * 2
    local z = y * 3 -- needs no saved value of y
    m.no_grad(function() y:add_(1) end)
    z:sum():backward()
    assert.same({ 6, 6 }, x.grad:totable())
  end)

  it("works through in-place operations", function()
    local x = leaf { 1, -2 }
    local y = x * 2
    y:add_(1)
    y:relu_()
    y:sum():backward()
    assert.same({ 2, 0 }, x.grad:totable())
  end)

  it("works in place where the gradient reads what was there before", function()
    for _, way in ipairs {
      { "sin" }, { "log" }, { "abs" }, { "silu" }, { "hardswish" }, { "pow", 3 }, { "clamp", 0.3, 0.6 },
      { "maximum", 0.4 }, { "mul", leaf { 2, 3, 4 } }, { "div", leaf { 2, 3, 4 } }, { "mul", 3 },
    } do
      local x, name = leaf { 0.25, 0.5, 0.75 }, way[1]
      local want = m.grad((x * 1)[name](x * 1, way[2], way[3]):sum(), { x }):totable()
      local y = x * 1
      y[name .. "_"](y, way[2], way[3])
      y:sum():backward()
      assert.same(want, x.grad:totable(), name)
    end
    local x = leaf { -1, 2 }
    m.nn.SiLU { inplace = true }(x * 2):sum():backward()
    assert.is_true(m.allclose(x.grad, m.grad(m.silu(x * 2):sum(), { x })))
  end)

  it("keeps the gradient of an input that shares memory with the tensor in place", function()
    local x = m.tensor({ { 1, 2 }, { 3, 4 } }, { requires_grad = true })
    local y = x * 1
    y:add_(y:t())
    y:sum():backward()
    assert.same({ { 2, 2 }, { 2, 2 } }, x.grad:totable())
  end)

  it("refuses an in-place change of a view in a graph", function()
    local x = leaf { 1, 2 }
    local y = x * 2
    assert.has_error(function() y:narrow(1, 1, 1):add_(1) end)
  end)

  it("writes into leaves under no_grad and tells versions", function()
    local x = leaf { 1, 2 }
    m.no_grad(function() x:mul_(2) end)
    assert.same({ 2, 4 }, x:totable())
  end)
end)

describe("mascon.grad", function()
  it("gives gradients without touching any .grad", function()
    local x, y, z = leaf { 2 }, leaf { 3 }, leaf { 4 }
    local gx, gy, gz = m.grad((x * y * y):sum(), { x, y, z })
    assert.same({ 9 }, gx:totable())
    assert.same({ 12 }, gy:totable())
    assert.is_nil(gz)
    assert.is_nil(x.grad)
  end)

  it("reaches tensors in the middle of a graph", function()
    local x = leaf { 2 }
    local h = x * x
    assert.same({ 3 }, (m.grad((h * 3):sum(), { h })):totable())
  end)
end)

describe("modes", function()
  it("no_grad records nothing, returns values and restores on error", function()
    local x = leaf { 1 }
    local y, extra = m.no_grad(function() return x * 2, "more" end)
    assert.is_false(y.requires_grad)
    assert.equal("more", extra)
    assert.has_error(function() m.no_grad(function() error "inside" end) end)
    assert.is_true((x * 2).requires_grad)
  end)

  it("refuses a yield", function()
    local co = coroutine.create(function()
      m.no_grad(function() coroutine.yield() end)
    end)
    local good, err = coroutine.resume(co)
    assert.is_false(good)
    assert.is_truthy(err:find("must not yield", 1, true))
    assert.is_true((leaf { 1 } * 2).requires_grad)
  end)

  it("inference tensors never enter a graph", function()
    local y = m.inference_mode(function() return m.ones { 2 } * 2 end)
    local x = leaf { 1, 2 }
    assert.has_error(function() return x * y end)
    assert.has_error(function() y.requires_grad = true end)
  end)

  it("detect_anomaly names the operation and the line", function()
    m.detect_anomaly(true)
    local x = leaf { 0, 1 }
    local _, err = pcall(function() (x:sqrt() * 0):sum():backward() end)
    m.detect_anomaly(false)
    assert.is_truthy(err:find("gradient of sqrt", 1, true), err)
    assert.is_truthy(err:find("autograd_spec.lua:", 1, true), err)
    assert.is_falsy(err:find("arose", 1, true), err)
  end)

  it("detect_anomaly names where the first such value arose", function() -- D49
    m.detect_anomaly(true)
    local x = leaf { -1, 1 }
    local _, err = pcall(function()
      local y = (x * 2):log()
      local z = y * y
      z:sum():backward()
    end)
    m.detect_anomaly(false)
    assert.is_truthy(err:find("gradient of mul", 1, true), err)
    assert.is_truthy(err:find("; first non%-finite value arose in log %([^)]*autograd_spec.lua:%d+%)"), err)
  end)

  it("detect_anomaly names step, module, number and kind of the values", function() -- D49
    local nn = m.nn
    local Net = nn.Module:extend "Net"
    function Net:init()
      self.layer = nn.Sequential(nn.Conv2d(1, 2, 1, { bias = false }), nn.ReLU(), nn.Flatten())
    end
    function Net:forward(x)
      return self.layer(x)
    end
    local function message(fn)
      m.detect_anomaly(true)
      local _, err = pcall(fn)
      m.detect_anomaly(false)
      return err
    end
    local net = Net()
    m.no_grad(function() net.layer[1].weight:fill_(1) end)
    local optimizer = m.optim.SGD(net:parameters(), { lr = 0 })
    for _ = 1, 2 do
      net(m.ones { 1, 1, 1, 2 }):sum():backward()
      optimizer:step()
    end
    local function fail(values)
      return message(function()
        local loss = (net(m.tensor { { { values } } }) * m.tensor { 1e30 } * m.tensor { 1e30 }):sum()
        loss:backward()
      end)
    end
    local err = fail { 1e20, 2 }
    assert.is_truthy(err:find("^[^\n]*autograd_spec.lua:%d+: step 3: gradient of mul has 4 infinite values;"
      .. " first non%-finite value arose in mul %([^)\n]*autograd_spec.lua:%d+%)\ninput x, recorded at "),
      err)
    err = message(function()
      net(m.tensor { { { { 1, 0 / 0 } } } }):sum():backward()
    end)
    assert.is_truthy(err:find("step 3: gradient of conv2d in Net.layer.0 has 2 NaN values; first non-finite "
      .. "value arose in conv2d in Net.layer.0 (", 1, true), err)
    m.optim.SGD(net:parameters(), { lr = 0 }):step()
    err = message(function() (m.ones({ 1 }, { requires_grad = true }) * 0):log():sum():backward() end)
    assert.is_truthy(err:find("step 2: gradient of log has 1 infinite value; first", 1, true), err)
  end)
end)

describe("scope", function()
  it("releases what was made inside, but what is returned or kept", function()
    local kept, lost
    local result, list = m.scope(function()
      lost = m.zeros { 2 }
      kept = m.keep(m.ones { 2 })
      return m.ones { 3 }, { deep = { m.ones { 4 } } }
    end)
    assert.equal(3, #result)
    assert.equal(4, #list.deep[1])
    assert.same({ 1, 1 }, kept:totable())
    assert.has_error(function() return lost + 1 end)
  end)

  it("releases on error as well", function()
    local lost
    pcall(m.scope, function()
      lost = m.zeros { 2 }
      error "inside"
    end)
    assert.has_error(function() return lost + 1 end)
  end)
end)

describe("Function", function()
  local Square = m.Function:extend "Square"
  function Square.forward(ctx, x)
    ctx:save_for_backward(x)
    return x * x
  end
  function Square.backward(ctx, dy)
    return dy * ctx.saved[1] * 2
  end

  it("computes forward and backward in Lua", function()
    local x = leaf { 1, 2, 3 }
    local y = Square(x * 1)
    assert.same({ 1, 4, 9 }, y:totable())
    y:sum():backward()
    assert.same({ 2, 4, 6 }, x.grad:totable())
  end)

  it("passes an error of its backward on, and the next pass works", function()
    local Bad = m.Function:extend "Bad"
    function Bad.forward(_, x) return x * 1 end
    function Bad.backward() error "my mistake" end
    local x = leaf { 1 }
    local _, err = pcall(function() Bad(x):sum():backward() end)
    assert.is_truthy(tostring(err):find("my mistake", 1, true))
    Square(x):sum():backward()
    assert.same({ 2 }, x.grad:totable())
  end)
end)
