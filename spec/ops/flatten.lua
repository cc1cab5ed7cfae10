-- flatten.lua: samples and errors of flatten.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4} } },
    { args = { S.randn{2, 3, 4, 5} }, options = { start_dim = 2 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { start_dim = 2, end_dim = 3 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { start_dim = -2 } },
    { args = { S.randn{} } },
    { args = { S.randn{0, 3, 2} }, options = { start_dim = 2 } },
  },
  errors = {
    { call = function(m) return m.zeros{2, 3}:flatten(2, 1) end,
      message = "flatten: end_dim 1 comes before start_dim 2" },
    { call = function(m) return m.zeros{2, 3}:flatten(3) end,
      message = "flatten: dimension 3 of a 2-dimensional tensor" },
  },
}
