-- minimum.lua: samples and errors of minimum.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{3, 4}, S.randn{3, 4} } },
    { args = { S.randn{3, 4}, S.randn{4} } },
    { args = { S.randn{4}, S.randn{3, 4} } },
    { args = { S.randn{3, 1}, S.randn{1, 4} } },
    { args = { S.randn{}, S.randn{2, 3} } },
    { args = { S.randn{2, 3}, S.randn{} } },
    { args = { S.randn{0, 3}, S.randn{1, 3} } },
    { args = { S.randn{2, 3, 4, 5}, S.randn{3, 1, 1} } },
    { args = { S.randn{2, 3, 4, 5}, S.randn{2, 3, 4, 5} } },
    { args = { S.randn{2, 3, 4, 5}, S.randn{5} } },
    { args = { S.randn{1, 3, 1, 5}, S.randn{2, 1, 4, 1} } },
    { args = { S.randn{2, 1, 3, 2, 2}, S.randn{3, 1, 2} } },
    { args = { S.randn{5, 20, 33, 21}, S.randn{20, 1, 1} }, grad = false },
    { args = { S.randn{5, 20, 33, 21}, S.randn{5, 20, 33, 21} }, grad = false },
    { args = { S.randn{2, 3} }, options = { other = 2.5 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { other = 2.5 } },
    { args = { S.randn{} }, options = { other = 2.5 } },
    { args = { S.randn{0, 2} }, options = { other = 2.5 } },
    { args = { S.randn{3, 4} }, options = { other = 2.5, swap = true } },
    { args = { S.int({3}, -5, 5, "int64"), S.int({3}, 1, 5, "int64") }, grad = false },
    { args = { S.int({2, 3}, 1, 5, "int32"), S.int({3}, 1, 5, "int64") }, grad = false },
    { args = { S.int({3}, 1, 5, "uint8"), S.int({2, 1}, 1, 5, "int32") }, grad = false },
    { args = { S.int({4}, 1, 5, "int64"), S.randn{3, 4} }, grad = { false, true } },
    { args = { S.int({4}, 1, 5, "int64") }, options = { other = 2 }, grad = false },
    { args = { S.int({4}, 1, 5, "int32") }, options = { other = 2.5 }, grad = false },
  },
  errors = {
    { call = function(m) return m.minimum(m.zeros{2, 3}, m.zeros{4, 3}) end,
      message = "minimum: shapes {2, 3} and {4, 3} do not broadcast; dimension 1 is 2 against 4" },
    { call = function(m) return m.minimum(m.zeros{2}) end,
      message = "minimum: argument 2 (y) is missing" },
    { call = function(m) return m.minimum(m.zeros{2}, m.zeros{2}, { other = 1 }) end,
      message = "minimum: both y and the number other = 1 are given; expected one of them" },
  },
  check = function(m)
    local nan = 0 / 0
    local z = m.minimum(m.tensor { nan, 1, nan }, m.tensor { 1, nan, nan })
    assert.is_true(z:isnan():all():item() ~= false and z:isnan():sum():item() == 3)
    local a = m.tensor({ 1, 2 }, { requires_grad = true })
    m.minimum(a, m.tensor { 1, 5 }):sum():backward()
    assert.equal(0.5, a.grad[1]:item()) -- equal operands share
  end,
}
