-- relu.lua: samples and errors of relu.
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
    { args = { S.int({4, 3}, 1, 5, "int64") }, grad = false },
    { args = { S.int({5}, 1, 3, "int32") }, grad = false },
  },
  errors = {
    { call = function(m) return m.relu(2) end,
      message = "relu: argument 1 is missing" },
  },
  tolerance = { float32 = 2e-6 },
  check = function(m)
    local x = m.tensor({ -0.5, 0.25 }, { requires_grad = true })
    local y = x * 1
    local want = m.grad(m.relu(x):sum(), { x }):totable()
    local z = y:relu_()
    assert.same(want, m.grad(z:sum(), { x }):totable())
    local big = m.full({ 1 }, 2 ^ 53, { dtype = "int64" }) + 1
    assert.is_true(m.relu(big):eq(big):item()) -- every digit
  end,
}
