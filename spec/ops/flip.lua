-- flip.lua: samples and errors of flip.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4} }, options = { dims = 1 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dims = {2, -1} } },
    { args = { S.randn{0, 3} }, options = { dims = 1 } },
    { args = { S.randn{2, 3, 4} }, options = { dims = {} } },
  },
  errors = {
    { call = function(m) return m.zeros{3}:flip(2) end,
      message = "flip: dimension 2 of a 1-dimensional tensor" },
    { call = function(m) return m.zeros{3}:flip(1, -1) end,
      message = "flip: dimension 1 is named twice" },
  },
}
