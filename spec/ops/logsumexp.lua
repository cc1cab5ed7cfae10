-- logsumexp.lua: samples and errors of logsumexp.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
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
    { args = { S.randn{3, 0} }, options = { dim = 1 } },
  },
  errors = {
    { call = function(m) return m.zeros{2, 3}:logsumexp(5) end,
      message = "logsumexp: dimension 5 of a 2-dimensional tensor" },
    { call = function(m) return m.zeros{2, 3}:logsumexp({ 1, -2 }) end,
      message = "logsumexp: dimension 1 is named twice" },
  },
  tolerance = { float32 = 2e-6 },
  check = function(m)
    local y = m.tensor({ { 1000, 1000 }, { -math.huge, -math.huge } }):logsumexp(2)
    assert.is_true(math.abs(y[1]:item() - 1000.6931) < 1e-3)
    assert.equal(-math.huge, y[2]:item())
  end,
}
