-- leaky_relu.lua: samples and errors of leaky_relu.
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
    { args = { S.rand({3, 5}, -3, 3) }, options = { negative_slope = 0.3 } },
    { args = { S.rand({2, 3, 4, 5}, -3, 3) }, options = { negative_slope = 0.3 } },
    { args = { S.randn{9} }, positional = { 0.2 } },
  },
  errors = {
    { call = function(m) return m.leaky_relu(2) end,
      message = "leaky_relu: argument 1 is missing" },
    { call = function(m) return m.leaky_relu(m.zeros{2}, { negative_slope = -1 }) end,
      message = "leaky_relu: negative_slope is -1; must be 0 or more" },
    { call = function(m) return m.leaky_relu(m.zeros({2}, { dtype = "int64" })) end,
      message = "leaky_relu: x is int64; expected one of float32 float64",
      hint = 'x:to("float32")' },
  },
  tolerance = { float32 = 2e-6 },
  check = function(m)
    local x = m.tensor({ -0.5, 0.25 }, { requires_grad = true })
    local y = x * 1
    local want = m.grad(m.leaky_relu(x):sum(), { x }):totable()
    local z = y:leaky_relu_()
    assert.same(want, m.grad(z:sum(), { x }):totable())
  end,
}
