-- Samples of adaptive_avg_pool2d.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn { 2, 3, 6, 6 } }, options = { output_size = 1 }, name = "global" },
    { args = { S.randn { 2, 3, 7, 5 } }, options = { output_size = { 3, 2 } }, name = "uneven ranges" },
    { args = { S.randn { 1, 2, 3, 4 } }, options = { output_size = { 5, 9 } },
      name = "more outputs than inputs" },
    { args = { S.randn { 1, 2, 4, 4 } }, options = { output_size = 4 }, name = "the same size" },
    { args = { S.randn { 1, 1, 1, 1 } }, options = { output_size = { 2, 3 } }, name = "sizes of 1" },
    { args = { S.randn { 0, 2, 6, 6 } }, options = { output_size = 2 }, name = "empty batch" },
    { args = { S.randn { 2, 17, 7, 7 } }, options = { output_size = 1 }, name = "17 channels" },
  },
  errors = {
    { call = function(m) m.adaptive_avg_pool2d(m.zeros { 3, 8, 8 }, 1) end,
      message = "adaptive_avg_pool2d: input has 3 dimensions {3, 8, 8}; expected 4",
      hint = "x:unsqueeze(1)" },
    { call = function(m) m.adaptive_avg_pool2d(m.zeros { 1, 1, 0, 4 }, 1) end,
      message = "adaptive_avg_pool2d: input is 0x4; must be 1x1 or more" },
    { call = function(m) m.adaptive_avg_pool2d(m.zeros { 1, 1, 4, 4 }, 0) end,
      message = "adaptive_avg_pool2d: output_size is 0; must be 1 or more" },
  },
  tolerance = { float32 = 1e-6 },
}
