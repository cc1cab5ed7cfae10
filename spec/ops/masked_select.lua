-- masked_select.lua: samples and errors of masked_select.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4}, S.bool{2, 3, 4} } },
    { args = { S.randn{2, 3, 4}, S.bool{3, 1} } },
    { args = { S.randn{1, 3, 4}, S.bool{2, 3, 4} } },
    { args = { S.randn{2, 3, 4, 5}, S.bool{2, 3, 4, 5} } },
    { args = { S.randn{}, S.bool{} } },
    { args = { S.randn{0, 3}, S.bool{3} } },
  },
  errors = {
    { call = function(m) return m.masked_select(m.zeros{2}, m.zeros{2}) end,
      message = "masked_select: mask is float32; expected bool",
      hint = 'mask:to("bool")' },
  },
}
