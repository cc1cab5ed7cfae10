-- sigmoid.lua: samples and errors of sigmoid.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.rand({3, 5}, -9, 9) } },
    { args = { S.rand({2, 3, 4, 5}, -9, 9) } },
    { args = { S.rand({}, -9, 9) } },
    { args = { S.rand({0, 3}, -9, 9) } },
    { args = { S.rand({1}, -9, 9) } },
    { args = { S.rand({2, 1, 3, 1, 2}, -9, 9) } },
    { args = { S.rand({7, 1, 9}, -9, 9) }, grad = false },
    { args = { S.rand({3, 11, 33, 35}, -9, 9) }, grad = false },
  },
  errors = {
    { call = function(m) return m.sigmoid(2) end,
      message = "sigmoid: argument 1 is missing" },
  },
  tolerance = { float32 = 2e-6 },
  half = { bfloat16 = { gradient = 2 ^ -4 }, float16 = { gradient = 2 ^ -7 } }, -- 1 - y of a rounded y near 1
  check = function(m)
    assert.equal("float32", m.sigmoid(m.ones({ 2 }, { dtype = "int64" })).dtype)
  end,
}
