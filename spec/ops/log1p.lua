-- log1p.lua: samples and errors of log1p.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.rand({3, 5}, -0.9, 5) } },
    { args = { S.rand({2, 3, 4, 5}, -0.9, 5) } },
    { args = { S.rand({}, -0.9, 5) } },
    { args = { S.rand({0, 3}, -0.9, 5) } },
    { args = { S.rand({1}, -0.9, 5) } },
    { args = { S.rand({2, 1, 3, 1, 2}, -0.9, 5) } },
    { args = { S.rand({7, 1, 9}, -0.9, 5) }, grad = false },
    { args = { S.rand({3, 11, 33, 35}, -0.9, 5) }, grad = false },
  },
  errors = {
    { call = function(m) return m.log1p(2) end,
      message = "log1p: argument 1 is missing" },
  },
  tolerance = { float32 = 2e-6 },
  check = function(m)
    assert.equal("float32", m.log1p(m.ones({ 2 }, { dtype = "int64" })).dtype)
  end,
}
