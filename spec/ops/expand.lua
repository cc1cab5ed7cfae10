-- expand.lua: samples and errors of expand.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 1, 3} }, options = { size = {2, 4, 3} } },
    { args = { S.randn{2, 1, 3} }, options = { size = {5, -1, 4, -1} } },
    { args = { S.randn{} }, options = { size = {2, 3} } },
    { args = { S.randn{1, 3, 1, 2} }, options = { size = {2, 3, 4, 2} } },
    { args = { S.randn{1} }, options = { size = {0} } },
  },
  errors = {
    { call = function(m) return m.zeros{2, 3}:expand(4, 3) end,
      message = "expand: dimension 1 is 2 and cannot become 4; only a size of 1 can be expanded" },
    { call = function(m) return m.zeros{2, 3}:expand(3) end,
      message = "expand: 1 sizes given for a 2-dimensional tensor" },
    { call = function(m) return m.zeros{3}:expand(-1, 3) end,
      message = "expand: size of the new dimension 1 is -1" },
  },
}
