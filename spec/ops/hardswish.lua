-- hardswish.lua: samples and errors of hardswish.
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
    { call = function(m) return m.hardswish(2) end,
      message = "hardswish: argument 1 is missing" },
    { call = function(m) return m.hardswish(m.zeros({2}, { dtype = "int64" })) end,
      message = "hardswish: x is int64; expected one of float32 float64",
      hint = 'x:to("float32")' },
  },
  tolerance = { float32 = 2e-6 },
}
