-- topk.lua: samples and errors of topk.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4} }, options = { k = 2 } },
    { args = { S.randn{2, 3, 4} }, options = { k = 1, dim = 2, largest = false } },
    { args = { S.randn{2, 3, 4, 5} }, options = { k = 3, dim = 2 } },
    { args = { S.randn{} }, options = { k = 1 } },
    { args = { S.randn{3, 4} }, options = { k = 0 } },
    { args = { S.int({20}, 1, 5, "int64") }, options = { k = 7 } },
  },
  errors = {
    { call = function(m) return m.zeros{3}:topk(4) end,
      message = "topk: k is 4; dimension 1 has 3 values" },
    { call = function(m) return m.zeros{3}:topk(-1) end,
      message = "topk: k is -1; must be 0 or more" },
  },
}
