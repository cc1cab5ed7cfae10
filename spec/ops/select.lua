-- select.lua: samples and errors of select.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4} }, options = { dim = 1, index = 2 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = 2, index = -1 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = -1, index = 1 } },
    { args = { S.randn{3} }, options = { dim = 1, index = 3 } },
  },
  errors = {
    { call = function(m) return m.zeros{4}:select(1, 5) end,
      message = "select: 5 is out of range for dimension 1 of size 4 (1..4 or -4..-1)" },
    { call = function(m) return m.zeros{4}:select(2, 1) end,
      message = "select: dimension 2 of a 1-dimensional tensor" },
    { call = function(m) return m.zeros{}:select(1, 1) end,
      message = "select: a 0-dimensional tensor has no positions" },
    { call = function(m) return m.zeros{0}:select(1, 1) end,
      message = "select: 1 is out of range for dimension 1 of size 0" },
  },
}
