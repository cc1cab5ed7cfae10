-- slice.lua: samples and errors of slice.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{7, 3} }, options = { dim = 1, start = 1, length = 4, step = 2 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = 4, start = 2, length = 2, step = 3 } },
    { args = { S.randn{2, 3, 4} }, options = { dim = 2, start = 3, length = 1, step = 9 } },
    { args = { S.randn{2, 3, 4} }, options = { dim = 3, start = -4, length = 4 } },
    { args = { S.randn{2, 3, 4} }, options = { dim = 1, start = 1, length = 0, step = 2 } },
  },
  errors = {
    { call = function(m) return m.zeros{5}:slice(1, 1, 3, 3) end,
      message = "slice: 3 positions from 1 on pass the end of dimension 1 of size 5" },
    { call = function(m) return m.zeros{5}:slice(1, 1, 1, 0) end,
      message = "slice: step is 0; must be 1 or more" },
  },
}
