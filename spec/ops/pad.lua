-- pad.lua: samples and errors of pad.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4} }, options = { pad = {1, 2} } },
    { args = { S.randn{2, 3, 4, 5} }, options = { pad = {1, 0, 2, 3}, value = -2 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { pad = {0, 1, 1, 0, 2, 1, 0, 1} } },
    { args = { S.randn{0, 3} }, options = { pad = {1, 1, 2, 0} } },
    { args = { S.randn{2, 3, 4} }, options = { pad = {} } },
    { args = { S.randn{2, 3, 4} }, options = { pad = {2, 1}, mode = "reflect" } },
    { args = { S.randn{2, 3, 4, 5} }, options = { pad = {1, 2, 3, 0}, mode = "reflect" } },
    { args = { S.randn{2, 3, 4} }, options = { pad = {2, 1}, mode = "replicate" } },
    { args = { S.randn{2, 3, 4, 5} }, options = { pad = {1, 2, 3, 0}, mode = "replicate" } },
    { args = { S.randn{2, 3, 4} }, options = { pad = {2, 1}, mode = "circular" } },
    { args = { S.randn{2, 3, 4, 5} }, options = { pad = {1, 2, 3, 0}, mode = "circular" } },
    { args = { S.randn{1, 1, 3, 3} }, options = { pad = {5, 4, 0, 7}, mode = "replicate" } },
  },
  errors = {
    { call = function(m) return m.pad(m.zeros{4, 5}, {1}) end,
      message = "pad: pad has 1 values; expected two per dimension" },
    { call = function(m) return m.pad(m.zeros{5}, {1, 1, 1, 1}) end,
      message = "pad: pad has 4 values; a 1-dimensional tensor takes 2" },
    { call = function(m) return m.pad(m.zeros{5}, {-1, 0}) end,
      message = "pad: pad value 1 is -1; must be 0 or more",
      hint = "x:narrow takes elements away" },
    { call = function(m) return m.pad(m.zeros{5}, {5, 0}, { mode = "reflect" }) end,
      message = "pad: pad value 1 is 5; dimension 1 of size 5 allows at most 4 in this mode" },
    { call = function(m) return m.pad(m.zeros{5}, {0, 6}, { mode = "circular" }) end,
      message = "pad: pad value 2 is 6; dimension 1 of size 5 allows at most 5 in this mode" },
    { call = function(m) return m.pad(m.zeros{2, 0}, {1, 0}, { mode = "replicate" }) end,
      message = "pad: dimension 2 is empty; there is nothing to repeat" },
  },
}
