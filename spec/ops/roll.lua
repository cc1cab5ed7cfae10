-- roll.lua: samples and errors of roll.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4} }, options = { shifts = 1 } },
    { args = { S.randn{2, 3, 4} }, options = { shifts = -5 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { shifts = {7, -2}, dims = {3, 1} } },
    { args = { S.randn{0, 3} }, options = { shifts = 1, dims = 1 } },
    { args = { S.randn{2, 3, 4} }, options = { shifts = {1, 1}, dims = {2, 2} } },
  },
  errors = {
    { call = function(m) return m.zeros{3, 3}:roll{1, 2} end,
      message = "roll: 2 shifts without dims; expected 1", hint = "dims = 2" },
    { call = function(m) return m.zeros{3, 3}:roll{shifts = 1, dims = {1, 2}} end,
      message = "roll: 1 shifts for 2 dimensions" },
  },
}
