-- transpose.lua: samples and errors of transpose.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4} }, options = { dim0 = 1, dim1 = 3 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim0 = -1, dim1 = 2 } },
    { args = { S.randn{3, 3} }, options = { dim0 = 1, dim1 = 1 } },
    { args = { S.randn{0, 3} }, options = { dim0 = 1, dim1 = 2 } },
  },
  errors = {
    { call = function(m) return m.zeros{2, 3}:transpose(1, 3) end,
      message = "transpose: dimension 3 of a 2-dimensional tensor" },
  },
}
