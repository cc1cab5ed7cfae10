-- sin.lua: samples and errors of sin.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.rand({3, 5}, -5, 5) } },
    { args = { S.rand({2, 3, 4, 5}, -5, 5) } },
    { args = { S.rand({}, -5, 5) } },
    { args = { S.rand({0, 3}, -5, 5) } },
    { args = { S.rand({1}, -5, 5) } },
    { args = { S.rand({2, 1, 3, 1, 2}, -5, 5) } },
    { args = { S.rand({7, 1, 9}, -5, 5) }, grad = false },
    { args = { S.rand({3, 11, 33, 35}, -5, 5) }, grad = false },
  },
  errors = {
    { call = function(m) return m.sin(2) end,
      message = "sin: argument 1 is missing" },
  },
  tolerance = { float32 = 2e-6 },
  check = function(m)
    assert.equal("float32", m.sin(m.ones({ 2 }, { dtype = "int64" })).dtype)
  end,
}
