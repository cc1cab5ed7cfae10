-- silu.lua: samples and errors of silu.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.rand({3, 5}, -6, 6) } },
    { args = { S.rand({2, 3, 4, 5}, -6, 6) } },
    { args = { S.rand({}, -6, 6) } },
    { args = { S.rand({0, 3}, -6, 6) } },
    { args = { S.rand({1}, -6, 6) } },
    { args = { S.rand({2, 1, 3, 1, 2}, -6, 6) } },
    { args = { S.rand({7, 1, 9}, -6, 6) }, grad = false },
    { args = { S.rand({3, 11, 33, 35}, -6, 6) }, grad = false },
  },
  errors = {
    { call = function(m) return m.silu(2) end,
      message = "silu: argument 1 is missing" },
    { call = function(m) return m.silu(m.zeros({2}, { dtype = "int64" })) end,
      message = "silu: x is int64; expected one of float32 float64",
      hint = 'x:to("float32")' },
  },
  tolerance = { float32 = 2e-6 },
}
