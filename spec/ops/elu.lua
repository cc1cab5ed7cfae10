-- elu.lua: samples and errors of elu.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.rand({3, 5}, -3, 3) } },
    { args = { S.rand({2, 3, 4, 5}, -3, 3) } },
    { args = { S.rand({}, -3, 3) } },
    { args = { S.rand({0, 3}, -3, 3) } },
    { args = { S.rand({1}, -3, 3) } },
    { args = { S.rand({2, 1, 3, 1, 2}, -3, 3) } },
    { args = { S.rand({7, 1, 9}, -3, 3) }, grad = false },
    { args = { S.rand({3, 11, 33, 35}, -3, 3) }, grad = false },
    { args = { S.rand({3, 5}, -3, 3) }, options = { alpha = 2.5 } },
    { args = { S.rand({2, 3, 4, 5}, -3, 3) }, options = { alpha = 2.5 } },
  },
  errors = {
    { call = function(m) return m.elu(2) end,
      message = "elu: argument 1 is missing" },
    { call = function(m) return m.elu(m.zeros{2}, { alpha = -1 }) end,
      message = "elu: alpha is -1; must be 0 or more" },
    { call = function(m) return m.elu(m.zeros({2}, { dtype = "int64" })) end,
      message = "elu: x is int64; expected one of float32 float64",
      hint = 'x:to("float32")' },
  },
  tolerance = { float32 = 2e-6 },
  check = function(m)
    local x = m.tensor({ -0.5, 0.25 }, { requires_grad = true })
    local y = x * 1
    local want = m.grad(m.elu(x):sum(), { x }):totable()
    local z = y:elu_()
    assert.same(want, m.grad(z:sum(), { x }):totable())
  end,
}
