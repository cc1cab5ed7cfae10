-- std.lua: samples and errors of std.
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
    { args = { S.randn{2, 1, 3, 2, 2} }, options = { dim = { 3 } } },
    { args = { S.randn{2, 1, 3, 2, 2} } },
    { args = { S.randn{40, 33, 50} }, grad = false },
    { args = { S.randn{4, 10, 33, 31} }, options = { dim = { 1, 3, 4 } }, grad = false },
    { args = { S.randn{4, 10, 33, 31} }, options = { dim = { 2 } }, grad = false },
    { args = { S.randn{3000, 10} }, options = { dim = { 1 } }, grad = false },
    { args = { S.randn{2, 35001} }, options = { dim = { 2 } }, grad = false },
    { args = { S.randn{2, 5000, 3} }, options = { dim = { 2 } }, grad = false },
    { args = { S.randn{3, 5} }, options = { dim = 2, correction = 0 } },
    { args = { S.randn{3, 5} }, options = { correction = 2.5 } },
    { args = { S.randn{7, 1, 9} }, options = { dim = 1 } },
    { args = { S.randn{1} }, options = { correction = 0 }, grad = false },
    { args = { S.int({3, 4}, -3, 3, "int64") }, grad = false },
  },
  errors = {
    { call = function(m) return m.zeros{2, 3}:std(5) end,
      message = "std: dimension 5 of a 2-dimensional tensor" },
    { call = function(m) return m.zeros{2, 3}:std({ 1, -2 }) end,
      message = "std: dimension 1 is named twice" },
  },
  tolerance = { float32 = 2e-6 },
  check = function(m)
    local y = m.zeros({ 1 }):std():item()
    assert.is_true(y ~= y)
    assert.equal(0, m.ones({ 4 }):std():item())
    local x = m.ones({ 4 }, { requires_grad = true })
    x:std():backward()
    assert.same({ 0, 0, 0, 0 }, x.grad:totable())
  end,
}
