-- masked_fill.lua: samples and errors of masked_fill.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4}, S.bool{2, 3, 4} }, options = { value = 3 } },
    { args = { S.randn{2, 3, 4}, S.bool{3, 1} }, options = { value = -1 } },
    { args = { S.randn{2, 3, 4, 5}, S.bool{2, 3, 4, 5} }, options = { value = 0 } },
    { args = { S.randn{}, S.bool{} }, options = { value = 1 } },
    { args = { S.randn{0, 3}, S.bool{3} }, options = { value = 1 } },
    { args = { S.int({4, 2}, 1, 9, "int64"), S.bool{4, 2} }, options = { value = 7 } },
  },
  errors = {
    { call = function(m) return m.masked_fill(m.zeros{2}, m.zeros{2}, 1) end,
      message = "masked_fill: mask is float32; expected bool",
      hint = 'mask:to("bool")' },
    { call = function(m)
        return m.masked_fill(m.zeros{2}, m.zeros({ 3, 2 }, { dtype = "bool" }), 1)
      end,
      message = "masked_fill: mask {3, 2} does not fit into x {2}" },
  },
}
