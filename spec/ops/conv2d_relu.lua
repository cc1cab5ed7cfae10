-- Samples of conv2d_relu.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn { 2, 3, 8, 8 }, S.randn { 4, 3, 3, 3 }, S.randn { 4 } },
      options = { stride = 2, padding = 1 }, name = "stride and padding" },
    { args = { S.randn { 2, 4, 5, 6 }, S.randn { 6, 2, 2, 4 }, S.randn { 6 } },
      options = { padding = "same", groups = 2, dilation = { 2, 1 } }, name = "groups and dilation" },
    { args = { S.randn { 3, 5, 4, 4 }, S.randn { 7, 5, 1, 1 } }, name = "1x1, no bias" },
    { args = { S.randn { 0, 3, 5, 5 }, S.randn { 4, 3, 3, 3 }, S.randn { 4 } }, name = "empty batch" },
    { args = { S.randn { 1, 1, 1, 1 }, S.randn { 1, 1, 1, 1 }, S.randn { 1 } }, name = "sizes of 1" },
    { args = { S.randn { 2, 8, 9, 10 }, S.randn { 11, 8, 3, 3 }, S.randn { 11 } },
      options = { padding = 1 }, name = "parts of tiles" },
    { args = { S.randn { 2, 90, 4, 5 }, S.randn { 88, 90, 3, 3 }, S.randn { 88 } },
      options = { padding = "same" }, grad = false, name = "many channels" },
    { args = { S.randn { 2, 12, 16, 16 }, S.randn { 5, 12, 3, 3 }, S.randn { 5 } },
      options = { padding = 1 }, name = "few channels" },
    { args = { S.randn { 2, 18, 6, 9 }, S.randn { 18, 1, 3, 3 }, S.randn { 18 } },
      options = { padding = 1, groups = 18 }, name = "depthwise" },
    { args = { S.randn { 5, 16, 40, 24 }, S.randn { 256, 16, 1, 1 }, S.randn { 256 } }, grad = false,
      name = "several pictures in slices of rows" },
    { args = { S.randn { 2, 3, 5, 5 }, S.randn { 4, 3, 3, 3 }, S.randn { 4 } },
      grad = { false, false, true }, name = "gradient of the bias alone" },
    { args = { S.randn { 2, 3, 5, 5 }, S.randn { 4, 3, 3, 3 }, S.randn { 4 } },
      grad = { true, false, false }, name = "gradient of the input alone" },
  },
  errors = {
    { call = function(m)
        require "mascon.op".run("conv2d_relu", "conv2d_relu", false, m.zeros { 2, 3, 8, 8 },
          m.zeros { 4, 5, 3, 3 })
      end,
      message = "conv2d_relu: input has 3 channels, the layer takes 5" },
  },
  tolerance = { float32 = 1e-5 },
}
