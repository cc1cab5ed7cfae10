-- transfer.lua: samples and errors of transfer.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4} }, options = { device = "cpu" } },
    { args = { S.randn{2, 3, 4, 5} }, options = { device = "cpu" } },
    { args = { S.randn{0, 2} }, options = { device = "cpu" } },
    { args = { S.bool{4} }, options = { device = "cpu" } },
  },
}
