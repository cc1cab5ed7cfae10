-- min.lua: samples and errors of min.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{3, 5} } },
    { args = { S.randn{3, 5} }, options = { dim = 1 } },
    { args = { S.randn{3, 5} }, options = { dim = 2 } },
    { args = { S.randn{3, 5} }, options = { keepdim = true } },
    { args = { S.randn{3, 5} }, options = { dim = 2, keepdim = true } },
    { args = { S.randn{2, 3, 4, 5} } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = 2 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = 4 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = -1, keepdim = true } },
    { args = { S.randn{} } },
    { args = { S.randn{} }, options = { dim = 1 } },
    { args = { S.randn{1} }, options = { dim = 1 } },
    { args = { S.randn{2, 1, 3, 2, 2} }, options = { dim = 3 } },
    { args = { S.randn{2, 1, 3, 2, 2} }, options = { dim = 2 } },
    { args = { S.randn{2, 1, 3, 2, 2} } },
    { args = { S.randn{7, 1, 9} }, options = { dim = 1 } },
    { args = { S.randn{40, 33, 50} }, grad = false },
    { args = { S.randn{4, 10, 33, 31} }, options = { dim = 2 }, grad = false },
    { args = { S.randn{4, 10, 33, 31} }, options = { dim = 2 }, grad = false },
    { args = { S.randn{3000, 10} }, options = { dim = 1 }, grad = false },
    { args = { S.randn{2, 35001} }, options = { dim = 2 }, grad = false },
    { args = { S.randn{2, 5000, 3} }, options = { dim = 2 }, grad = false },
    { args = { S.int({3, 4}, -3, 3, "int64") }, grad = false },
    { args = { S.int({3, 4}, -3, 3, "int32") }, grad = false },
    { args = { S.int({3, 4}, 0, 3, "uint8") }, options = { dim = 1 }, grad = false },
    { args = { S.randn{0, 3} }, options = { dim = 2 } },
  },
  errors = {
    { call = function(m) return m.zeros{0, 3}:min() end,
      message = "min: x has no elements ({0, 3})" },
    { call = function(m) return m.zeros{3, 0}:min(2) end,
      message = "min: dimension 2 of x has size 0 ({3, 0})" },
    { call = function(m) return m.zeros{2, 3}:min(5) end,
      message = "min: dimension 5 of a 2-dimensional tensor" },
  },
  check = function(m)
    local x = m.tensor({ { 3, 1, 1 } }, { requires_grad = true })
    local values, indices = x:min(2)
    assert.same({ 2 }, indices:totable()) -- the first of equals, from 1
    values:sum():backward()
    assert.same({ { 0, 1, 0 } }, x.grad:totable())
    x.grad = nil
    x:min():backward()
    assert.same({ { 0, 0.5, 0.5 } }, x.grad:totable())
    local y = m.tensor({ 1, 0 / 0, 3 }):min():item()
    assert.is_true(y ~= y)
  end,
}
