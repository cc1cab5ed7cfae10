-- any.lua: samples and errors of any.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.bool{3, 5} }, grad = false },
    { args = { S.bool{3, 5} }, options = { dim = 1 }, grad = false },
    { args = { S.bool{3, 5} }, options = { dim = 2 }, grad = false },
    { args = { S.bool{3, 5} }, options = { keepdim = true }, grad = false },
    { args = { S.bool{3, 5} }, options = { dim = 2, keepdim = true }, grad = false },
    { args = { S.bool{2, 3, 4, 5} }, grad = false },
    { args = { S.bool{2, 3, 4, 5} }, options = { dim = 2 }, grad = false },
    { args = { S.bool{2, 3, 4, 5} }, options = { dim = 4 }, grad = false },
    { args = { S.bool{2, 3, 4, 5} }, options = { dim = -1, keepdim = true }, grad = false },
    { args = { S.bool{} }, grad = false },
    { args = { S.bool{} }, options = { dim = 1 }, grad = false },
    { args = { S.bool{1} }, options = { dim = 1 }, grad = false },
    { args = { S.bool{2, 1, 3, 2, 2} }, options = { dim = 3 }, grad = false },
    { args = { S.bool{2, 1, 3, 2, 2} }, options = { dim = 2 }, grad = false },
    { args = { S.bool{2, 1, 3, 2, 2} }, grad = false },
    { args = { S.bool{7, 1, 9} }, options = { dim = 1 }, grad = false },
    { args = { S.bool{0, 3} }, options = { dim = 1 }, grad = false },
    { args = { S.bool{3, 0} }, options = { dim = 1 }, grad = false },
    { args = { S.bool{0} }, grad = false },
    { args = { S.bool{40, 33, 50} }, grad = false },
    { args = { S.bool{4, 10, 33, 31} }, options = { dim = 2 }, grad = false },
    { args = { S.bool{4, 10, 33, 31} }, options = { dim = 2 }, grad = false },
    { args = { S.bool{3000, 10} }, options = { dim = 1 }, grad = false },
    { args = { S.bool{2, 35001} }, options = { dim = 2 }, grad = false },
    { args = { S.bool{2, 5000, 3} }, options = { dim = 2 }, grad = false },
    { args = { S.randn{3, 5} }, grad = false },
    { args = { S.int({3, 5}, 0, 1, "int64") }, options = { dim = 1 }, grad = false },
  },
  errors = {
    { call = function(m) return m.zeros{2, 3}:any(5) end,
      message = "any: dimension 5 of a 2-dimensional tensor" },
  },
  check = function(m)
    assert.equal("bool", m.zeros({ 2 }):any().dtype)
    assert.equal(0, m.zeros({ 0 }):any():to("int64"):item())
  end,
}
