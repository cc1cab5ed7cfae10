-- permute.lua: samples and errors of permute.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4} }, options = { dims = {3, 1, 2} } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dims = {1, 3, 4, 2} } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dims = {-1, 1, -2, 2} } },
    { args = { S.randn{} }, options = { dims = {} } },
    { args = { S.randn{0, 3} }, options = { dims = {2, 1} } },
  },
  errors = {
    { call = function(m) return m.zeros{2, 3}:permute(1) end,
      message = "permute: 1 dimensions given for a 2-dimensional tensor" },
    { call = function(m) return m.zeros{2, 3}:permute(2, 2) end,
      message = "permute: dimension 2 is given twice" },
    { call = function(m) return m.zeros{2, 3}:permute(1, 3) end,
      message = "permute: dimension 3 of a 2-dimensional tensor" },
  },
}
