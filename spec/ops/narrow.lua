-- narrow.lua: samples and errors of narrow.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4} }, options = { dim = 2, start = 2, length = 2 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = 1, start = 2, length = 1 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = -1, start = -3, length = 2 } },
    { args = { S.randn{2, 3, 4} }, options = { dim = 3, start = 5, length = 0 } },
    { args = { S.randn{0, 2} }, options = { dim = 2, start = 1, length = 1 } },
  },
  errors = {
    { call = function(m) return m.zeros{4}:narrow(1, 5, 1) end,
      message = "narrow: 5 is out of range for dimension 1 of size 4 (1..4 or -4..-1)" },
    { call = function(m) return m.zeros{4}:narrow(1, 3, 3) end,
      message = "narrow: 3 positions from 3 on pass the end of dimension 1 of size 4" },
    { call = function(m) return m.zeros{4}:narrow(2, 1, 1) end,
      message = "narrow: dimension 2 of a 1-dimensional tensor" },
    { call = function(m) return m.zeros{4}:narrow(1, 1, -1) end,
      message = "narrow: length is -1; must be 0 or more" },
    { call = function(m) return m.zeros{4}:narrow(1, 0, 1) end,
      message = "narrow: 0 is not an index; the first element is 1" },
  },
}
