-- clamp.lua: samples and errors of clamp.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.rand({3, 5}, -3, 3) }, options = { min = -0.5 } },
    { args = { S.rand({2, 3, 4, 5}, -3, 3) }, options = { min = -0.5 } },
    { args = { S.rand({3, 5}, -3, 3) }, options = { max = 0.5 } },
    { args = { S.rand({2, 3, 4, 5}, -3, 3) }, options = { max = 0.5 } },
    { args = { S.rand({3, 5}, -3, 3) }, options = { min = -0.5, max = 0.5 } },
    { args = { S.rand({2, 3, 4, 5}, -3, 3) }, options = { min = -0.5, max = 0.5 } },
    { args = { S.rand({3, 5}, -3, 3) }, options = { min = 1, max = -1 } },
    { args = { S.rand({2, 3, 4, 5}, -3, 3) }, options = { min = 1, max = -1 } },
    { args = { S.randn{5} }, positional = { -1, 1 } },
    { args = { S.randn{} }, options = { min = 0.01 } },
    { args = { S.randn{0, 3} }, options = { min = 0 } },
    { args = { S.randn{2, 1, 3, 1, 2} }, options = { max = 0.2 } },
    { args = { S.int({7}, -5, 5, "int64") }, options = { min = -2, max = 3 }, grad = false },
    { args = { S.int({7}, -5, 5, "int32") }, options = { min = -1.5 }, grad = false },
  },
  errors = {
    { call = function(m) return m.clamp(m.zeros{2}) end,
      message = "clamp: neither min nor max is given" },
  },
  check = function(m)
    local y = m.tensor({ 0 / 0, 5, -5 }):clamp(2, 1)
    assert.is_true(y[1]:item() ~= y[1]:item())
    assert.same({ 1, 1 }, { y[2]:item(), y[3]:item() })
    assert.equal("int64", m.tensor({ 5 }, { dtype = "int64" }):clamp(0, 2).dtype)
    local x = m.tensor { -1, 2 }
    x:clamp_(0, 1)
    assert.same({ 0, 1 }, x:totable())
    -- the limits themselves get no gradient; infinity passes where there is no limit
    local inf, nan = math.huge, 0 / 0
    for _, dtype in ipairs { "float32", "float64", "bfloat16" } do
      for _, case in ipairs {
        { { min = 0, max = 1 }, { 0, 0, 1, 0, 0, 0, 0 } }, { { min = 0 }, { 0, 0, 1, 1, 1, 0, 0 } },
        { { max = 1 }, { 1, 1, 1, 0, 0, 1, 0 } }, { { min = -inf, max = inf }, { 1, 1, 1, 1, 0, 0, 0 } },
        { { min = nan }, { 0, 0, 0, 0, 0, 0, 0 } },
      } do
        local at = m.tensor({ 0, -0.0, 0.5, 1, inf, -inf, nan }, { dtype = dtype, requires_grad = true })
        at:clamp(case[1]):sum():backward()
        assert.same(case[2], at.grad:totable())
      end
    end
  end,
}
