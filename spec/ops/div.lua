-- div.lua: samples and errors of div.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.rand({3, 4}, 0.5, 3), S.rand({3, 4}, 0.5, 3) } },
    { args = { S.rand({3, 4}, 0.5, 3), S.rand({4}, 0.5, 3) } },
    { args = { S.rand({4}, 0.5, 3), S.rand({3, 4}, 0.5, 3) } },
    { args = { S.rand({3, 1}, 0.5, 3), S.rand({1, 4}, 0.5, 3) } },
    { args = { S.rand({}, 0.5, 3), S.rand({2, 3}, 0.5, 3) } },
    { args = { S.rand({2, 3}, 0.5, 3), S.rand({}, 0.5, 3) } },
    { args = { S.rand({0, 3}, 0.5, 3), S.rand({1, 3}, 0.5, 3) } },
    { args = { S.rand({2, 3, 4, 5}, 0.5, 3), S.rand({3, 1, 1}, 0.5, 3) } },
    { args = { S.rand({2, 3, 4, 5}, 0.5, 3), S.rand({2, 3, 4, 5}, 0.5, 3) } },
    { args = { S.rand({2, 3, 4, 5}, 0.5, 3), S.rand({5}, 0.5, 3) } },
    { args = { S.rand({1, 3, 1, 5}, 0.5, 3), S.rand({2, 1, 4, 1}, 0.5, 3) } },
    { args = { S.rand({2, 1, 3, 2, 2}, 0.5, 3), S.rand({3, 1, 2}, 0.5, 3) } },
    { args = { S.rand({5, 20, 33, 21}, 0.5, 3), S.rand({20, 1, 1}, 0.5, 3) }, grad = false },
    { args = { S.rand({5, 20, 33, 21}, 0.5, 3), S.rand({5, 20, 33, 21}, 0.5, 3) }, grad = false },
    { args = { S.rand({2, 3}, 0.5, 3) }, options = { other = 2.5 } },
    { args = { S.rand({2, 3, 4, 5}, 0.5, 3) }, options = { other = 2.5 } },
    { args = { S.rand({}, 0.5, 3) }, options = { other = 2.5 } },
    { args = { S.rand({0, 2}, 0.5, 3) }, options = { other = 2.5 } },
    { args = { S.rand({3, 4}, 0.5, 3) }, options = { other = 2.5, swap = true } },
    { args = { S.int({3}, -5, 5, "int64"), S.int({3}, 1, 5, "int64") }, grad = false },
    { args = { S.int({2, 3}, 1, 5, "int32"), S.int({3}, 1, 5, "int64") }, grad = false },
    { args = { S.int({3}, 1, 5, "uint8"), S.int({2, 1}, 1, 5, "int32") }, grad = false },
    { args = { S.int({4}, 1, 5, "int64"), S.rand({3, 4}, 0.5, 3) }, grad = { false, true } },
    { args = { S.int({4}, 1, 5, "int64") }, options = { other = 2 }, grad = false },
    { args = { S.int({4}, 1, 5, "int32") }, options = { other = 2.5 }, grad = false },
  },
  errors = {
    { call = function(m) return m.div(m.zeros{2, 3}, m.zeros{4, 3}) end,
      message = "div: shapes {2, 3} and {4, 3} do not broadcast; dimension 1 is 2 against 4" },
    { call = function(m) return m.div(m.zeros{2}) end,
      message = "div: argument 2 (y) is missing" },
    { call = function(m) return m.div(m.zeros{2}, m.zeros{2}, { other = 1 }) end,
      message = "div: both y and the number other = 1 are given; expected one of them" },
  },
  tolerance = { float32 = 1e-6 },
  check = function(m)
    assert.equal("float32", (m.tensor({ 3 }, { dtype = "int64" }) / 2).dtype)
    assert.same({ 1.5 }, (m.tensor({ 3 }, { dtype = "int64" }) / m.tensor({ 2 }, { dtype = "int64" })):totable())
  end,
}
