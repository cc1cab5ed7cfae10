-- tile.lua: samples and errors of tile.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4} }, options = { dims = 2 } },
    { args = { S.randn{2, 3, 4} }, options = { dims = {2, 1, 3, 2} } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dims = {1, 2, 3} } },
    { args = { S.randn{} }, options = { dims = {2, 2} } },
    { args = { S.randn{2, 3} }, options = { dims = {0, 2} } },
    { args = { S.randn{0, 3} }, options = { dims = {2, 2} } },
  },
  errors = {
    { call = function(m) return m.zeros{3}:tile(-1) end,
      message = "tile: dims is -1; must be 0 or more" },
  },
}
