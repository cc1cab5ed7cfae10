-- argmin.lua: samples and errors of argmin.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{3, 5} }, grad = false },
    { args = { S.randn{3, 5} }, options = { dim = 1 }, grad = false },
    { args = { S.randn{3, 5} }, options = { dim = 2 }, grad = false },
    { args = { S.randn{3, 5} }, options = { keepdim = true }, grad = false },
    { args = { S.randn{3, 5} }, options = { dim = 2, keepdim = true }, grad = false },
    { args = { S.randn{2, 3, 4, 5} }, grad = false },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = 2 }, grad = false },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = 4 }, grad = false },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = -1, keepdim = true }, grad = false },
    { args = { S.randn{} }, grad = false },
    { args = { S.randn{} }, options = { dim = 1 }, grad = false },
    { args = { S.randn{1} }, options = { dim = 1 }, grad = false },
    { args = { S.randn{2, 1, 3, 2, 2} }, options = { dim = 3 }, grad = false },
    { args = { S.randn{2, 1, 3, 2, 2} }, options = { dim = 2 }, grad = false },
    { args = { S.randn{2, 1, 3, 2, 2} }, grad = false },
    { args = { S.randn{7, 1, 9} }, options = { dim = 1 }, grad = false },
    { args = { S.randn{40, 33, 50} }, grad = false },
    { args = { S.randn{4, 10, 33, 31} }, options = { dim = 2 }, grad = false },
    { args = { S.randn{4, 10, 33, 31} }, options = { dim = 2 }, grad = false },
    { args = { S.randn{3000, 10} }, options = { dim = 1 }, grad = false },
    { args = { S.randn{2, 35001} }, options = { dim = 2 }, grad = false },
    { args = { S.randn{2, 5000, 3} }, options = { dim = 2 }, grad = false },
    { args = { S.int({3, 4}, -3, 3, "int64") }, grad = false },
    { args = { S.int({3, 4}, -3, 3, "int32") }, grad = false },
    { args = { S.int({3, 4}, 0, 3, "uint8") }, options = { dim = 1 }, grad = false },
    { args = { S.randn{0, 3} }, options = { dim = 2 }, grad = false },
  },
  errors = {
    { call = function(m) return m.zeros{0, 3}:argmin() end,
      message = "argmin: x has no elements ({0, 3})" },
    { call = function(m) return m.zeros{3, 0}:argmin(2) end,
      message = "argmin: dimension 2 of x has size 0 ({3, 0})" },
    { call = function(m) return m.zeros{2, 3}:argmin(5) end,
      message = "argmin: dimension 5 of a 2-dimensional tensor" },
  },
  check = function(m)
    assert.equal(2, m.tensor({ 3, 1, 1 }):argmin():item()) -- the first of equals, from 1
    assert.equal(2, m.tensor({ 1, 0 / 0, 3 }):argmin():item())
    assert.equal("int64", m.tensor({ 1, 2 }):argmin().dtype)
  end,
}
