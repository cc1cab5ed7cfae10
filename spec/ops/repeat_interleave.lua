-- repeat_interleave.lua: samples and errors of repeat_interleave.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4} }, options = { repeats = 2 } },
    { args = { S.randn{2, 3, 4} }, options = { repeats = 3, dim = 2 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { repeats = 2, dim = -1 } },
    { args = { S.randn{} }, options = { repeats = 3 } },
    { args = { S.randn{2, 3} }, options = { repeats = 0, dim = 1 } },
    { args = { S.randn{0, 3} }, options = { repeats = 2, dim = 1 } },
  },
  errors = {
    { call = function(m) return m.zeros{3}:repeat_interleave(-1) end,
      message = "repeat_interleave: repeats is -1; must be 0 or more" },
    { call = function(m) return m.zeros{3}:repeat_interleave(2, 2) end,
      message = "repeat_interleave: dimension 2 of a 1-dimensional tensor" },
  },
}
