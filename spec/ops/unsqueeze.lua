-- unsqueeze.lua: samples and errors of unsqueeze.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4} }, options = { dim = 1 } },
    { args = { S.randn{2, 3, 4} }, options = { dim = 4 } },
    { args = { S.randn{2, 3, 4} }, options = { dim = -1 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = 3 } },
    { args = { S.randn{} }, options = { dim = 1 } },
    { args = { S.randn{0, 2} }, options = { dim = 2 } },
  },
  errors = {
    { call = function(m) return m.zeros{2, 3}:unsqueeze(5) end,
      message = "unsqueeze: dimension 5 of a 2-dimensional tensor" },
    { call = function(m) return m.zeros{1, 1, 1, 1, 1, 1, 1, 1}:unsqueeze(1) end,
      message = "unsqueeze: 9 dimensions; at most 8 are supported" },
  },
}
