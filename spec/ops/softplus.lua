-- softplus.lua: samples and errors of softplus.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.rand({3, 5}, -5, 9) } },
    { args = { S.rand({2, 3, 4, 5}, -5, 9) } },
    { args = { S.rand({}, -5, 9) } },
    { args = { S.rand({0, 3}, -5, 9) } },
    { args = { S.rand({1}, -5, 9) } },
    { args = { S.rand({2, 1, 3, 1, 2}, -5, 9) } },
    { args = { S.rand({7, 1, 9}, -5, 9) }, grad = false },
    { args = { S.rand({3, 11, 33, 35}, -5, 9) }, grad = false },
    { args = { S.rand({3, 5}, -3, 3) }, options = { beta = 2, threshold = 3 } },
    { args = { S.rand({2, 3, 4, 5}, -3, 3) }, options = { beta = 2, threshold = 3 } },
  },
  errors = {
    { call = function(m) return m.softplus(2) end,
      message = "softplus: argument 1 is missing" },
    { call = function(m) return m.softplus(m.zeros({2}, { dtype = "int64" })) end,
      message = "softplus: x is int64; expected one of float32 float64",
      hint = 'x:to("float32")' },
  },
  tolerance = { float32 = 2e-6 },
}
