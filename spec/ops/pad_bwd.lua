-- pad_bwd.lua: samples and errors of pad_bwd.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 7} }, options = { pad = {1, 2} }, grad = false },
    { args = { S.randn{2, 3, 9, 6} }, options = { pad = {1, 0, 2, 3} }, grad = false },
    { args = { S.randn{2, 3, 7} }, options = { pad = {2, 1}, mode = "reflect" }, grad = false },
    { args = { S.randn{2, 3, 9, 6} },
      options = { pad = {1, 2, 3, 0}, mode = "replicate" }, grad = false },
    { args = { S.randn{2, 3, 7} }, options = { pad = {2, 1}, mode = "circular" }, grad = false },
  },
}
