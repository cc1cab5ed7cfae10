-- triu.lua: samples and errors of triu.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{4, 4} } },
    { args = { S.randn{3, 5} }, options = { diagonal = 1 } },
    { args = { S.randn{2, 3, 5, 3} }, options = { diagonal = -2 } },
    { args = { S.randn{3, 3} }, options = { diagonal = 9 } },
    { args = { S.randn{0, 3} } },
    { args = { S.int({3, 3}, 1, 9, "int64") } },
  },
  errors = {
    { call = function(m) return m.zeros{3}:triu() end,
      message = "triu: x has 1 dimensions; expected 2 or more" },
  },
}
