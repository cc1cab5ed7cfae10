-- neg.lua: samples and errors of neg.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.rand({3, 5}, -2, 2) } },
    { args = { S.rand({2, 3, 4, 5}, -2, 2) } },
    { args = { S.rand({}, -2, 2) } },
    { args = { S.rand({0, 3}, -2, 2) } },
    { args = { S.rand({1}, -2, 2) } },
    { args = { S.rand({2, 1, 3, 1, 2}, -2, 2) } },
    { args = { S.rand({7, 1, 9}, -2, 2) }, grad = false },
    { args = { S.rand({3, 11, 33, 35}, -2, 2) }, grad = false },
    { args = { S.int({4, 3}, 1, 5, "int64") }, grad = false },
    { args = { S.int({5}, 1, 3, "int32") }, grad = false },
  },
  errors = {
    { call = function(m) return m.neg(2) end,
      message = "neg: argument 1 is missing" },
  },
  tolerance = { float32 = 2e-6 },
  check = function(m)
    assert.equal("int32", (-m.tensor({ 1 }, { dtype = "int32" })).dtype)
  end,
}
