-- norm.lua: samples and errors of norm.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{3, 5} }, options = { p = 1 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { p = 1, dim = { 2, 4 }, keepdim = true } },
    { args = { S.randn{3, 5} }, options = { p = 2 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { p = 2, dim = { 2, 4 }, keepdim = true } },
    { args = { S.randn{3, 5} }, options = { p = 3 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { p = 3, dim = { 2, 4 }, keepdim = true } },
    { args = { S.randn{3, 5} }, options = { p = 1.5 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { p = 1.5, dim = { 2, 4 }, keepdim = true } },
    { args = { S.randn{3, 5} }, options = { p = math.huge } },
    { args = { S.randn{2, 3, 4, 5} }, options = { p = math.huge, dim = { 2, 4 }, keepdim = true } },
    { args = { S.randn{3, 5} }, options = { p = -math.huge } },
    { args = { S.randn{2, 3, 4, 5} }, options = { p = -math.huge, dim = { 2, 4 }, keepdim = true } },
    { args = { S.randn{3, 5} } },
    { args = { S.randn{3, 5} }, options = { dim = { 1 } } },
    { args = { S.randn{3, 5} }, options = { dim = { 2 } } },
    { args = { S.randn{3, 5} }, options = { keepdim = true } },
    { args = { S.randn{3, 5} }, options = { dim = { 2 }, keepdim = true } },
    { args = { S.randn{2, 3, 4, 5} } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = { 2 } } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = { 4 } } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = { -1 }, keepdim = true } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = { 1, 3, 4 } } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = { 2, 4 } } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = { 1, 2 } } },
    { args = { S.randn{} } },
    { args = { S.randn{} }, options = { dim = { 1 } } },
    { args = { S.randn{1} }, options = { dim = { 1 } } },
    { args = { S.randn{2, 1, 3, 2, 2} }, options = { dim = { 3 } } },
    { args = { S.randn{2, 1, 3, 2, 2} }, options = { dim = { 2 } } },
    { args = { S.randn{2, 1, 3, 2, 2} } },
    { args = { S.randn{7, 1, 9} }, options = { dim = { 1 } } },
    { args = { S.randn{40, 33, 50} }, grad = false },
    { args = { S.randn{4, 10, 33, 31} }, options = { dim = { 1, 3, 4 } }, grad = false },
    { args = { S.randn{4, 10, 33, 31} }, options = { dim = { 2 } }, grad = false },
    { args = { S.randn{3000, 10} }, options = { dim = { 1 } }, grad = false },
    { args = { S.randn{2, 35001} }, options = { dim = { 2 } }, grad = false },
    { args = { S.randn{2, 5000, 3} }, options = { dim = { 2 } }, grad = false },
    { args = { S.randn{3, 4} }, positional = { 2, 1 } },
    { args = { S.randn{3, 4} }, options = { p = 0 }, grad = false },
  },
  errors = {
    { call = function(m) return m.zeros{2, 3}:norm(2, 5) end,
      message = "norm: dimension 5 of a 2-dimensional tensor" },
    { call = function(m) return m.zeros{2, 0}:norm(math.huge, 2) end,
      message = "norm: x has no elements to reduce ({2, 0}), p is inf" },
    { call = function(m) return m.zeros{0}:norm(-1) end,
      message = "norm: x has no elements to reduce ({0}), p is -1" },
  },
  tolerance = { float32 = 2e-6 },
  check = function(m)
    local x = m.zeros({ 3 }, { requires_grad = true })
    x:norm():backward()
    assert.same({ 0, 0, 0 }, x.grad:totable())
    assert.equal(2, m.tensor({ 0, 3, 4 }):norm(0):item())
  end,
}
