-- gelu.lua: samples and errors of gelu.
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
    { args = { S.rand({3, 5}, -3, 3) }, options = { approximate = "tanh" } },
    { args = { S.rand({2, 3, 4, 5}, -3, 3) }, options = { approximate = "tanh" } },
  },
  errors = {
    { call = function(m) return m.gelu(2) end,
      message = "gelu: argument 1 is missing" },
    { call = function(m) return m.gelu(m.zeros{2}, { approximate = "erf" }) end,
      message = "gelu: approximate is \"erf\"; expected one of none, tanh" },
    { call = function(m) return m.gelu(m.zeros({2}, { dtype = "int64" })) end,
      message = "gelu: x is int64; expected one of float32 float64",
      hint = 'x:to("float32")' },
  },
  tolerance = { float32 = 2e-6 },
}
