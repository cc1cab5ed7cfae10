-- erf.lua: samples and errors of erf.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.rand({3, 5}, -4, 4) } },
    { args = { S.rand({2, 3, 4, 5}, -4, 4) } },
    { args = { S.rand({}, -4, 4) } },
    { args = { S.rand({0, 3}, -4, 4) } },
    { args = { S.rand({1}, -4, 4) } },
    { args = { S.rand({2, 1, 3, 1, 2}, -4, 4) } },
    { args = { S.rand({7, 1, 9}, -4, 4) }, grad = false },
    { args = { S.rand({3, 11, 33, 35}, -4, 4) }, grad = false },
  },
  errors = {
    { call = function(m) return m.erf(2) end,
      message = "erf: argument 1 is missing" },
  },
  tolerance = { float32 = 2e-6 },
  check = function(m)
    assert.equal("float32", m.erf(m.ones({ 2 }, { dtype = "int64" })).dtype)
  end,
}
