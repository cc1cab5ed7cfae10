-- squeeze.lua: samples and errors of squeeze.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 1, 3, 1} } },
    { args = { S.randn{2, 1, 3, 1} }, options = { dim = 2 } },
    { args = { S.randn{2, 1, 3, 1} }, options = { dim = {2, -1} } },
    { args = { S.randn{2, 3} }, options = { dim = 1 } },
    { args = { S.randn{1, 1} } },
    { args = { S.randn{1, 0} } },
  },
  errors = {
    { call = function(m) return m.zeros{2, 1}:squeeze(3) end,
      message = "squeeze: dimension 3 of a 2-dimensional tensor" },
  },
}
