-- Samples of conv_transpose2d.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn { 2, 3, 4, 5 }, S.randn { 3, 4, 3, 3 }, S.randn { 4 } },
      options = { stride = 2, padding = 1, output_padding = 1 }, name = "stride, output_padding" },
    { args = { S.randn { 2, 3, 4, 5 }, S.randn { 3, 4, 2, 3 } }, name = "no bias" },
    { args = { S.randn { 2, 4, 3, 4 }, S.randn { 4, 3, 2, 2 }, S.randn { 6 } },
      options = { groups = 2, stride = { 2, 3 }, output_padding = { 0, 2 } }, name = "groups" },
    { args = { S.randn { 1, 2, 4, 4 }, S.randn { 2, 3, 3, 2 }, S.randn { 3 } },
      options = { dilation = { 2, 3 }, padding = { 1, 2 } }, name = "dilation" },
    { args = { S.randn { 1, 1, 1, 1 }, S.randn { 1, 1, 1, 1 }, S.randn { 1 } }, name = "sizes of 1" },
    { args = { S.randn { 0, 3, 4, 4 }, S.randn { 3, 4, 2, 2 }, S.randn { 4 } }, name = "empty batch" },
    { args = { S.randn { 2, 17, 5, 7 }, S.randn { 17, 19, 2, 2 }, S.randn { 19 } },
      options = { stride = 2 }, grad = { false, false, true }, name = "odd numbers of channels" },
    { args = { S.randn { 2, 16, 6, 6 }, S.randn { 16, 32, 3, 3 }, S.randn { 32 } },
      options = { stride = 2, padding = 1, output_padding = 1 }, name = "many channels" },
  },
  errors = {
    { call = function(m) m.conv_transpose2d(m.zeros { 1, 3, 4, 4 }, m.zeros { 4, 3, 2, 2 }) end,
      message = "conv_transpose2d: input has 3 channels, the layer takes 4" },
    { call = function(m) m.conv_transpose2d(m.zeros { 3, 4, 4 }, m.zeros { 3, 3, 2, 2 }) end,
      message = "conv_transpose2d: input has 3 dimensions {3, 4, 4}; expected 4",
      hint = "x:unsqueeze(1)" },
    { call = function(m)
        m.conv_transpose2d(m.zeros { 1, 3, 4, 4 }, m.zeros { 3, 4, 2, 2 }, { output_padding = 1 })
      end,
      message = "conv_transpose2d: output_padding is 1; must be smaller than stride 1" },
    { call = function(m)
        m.conv_transpose2d(m.zeros { 1, 3, 1, 1 }, m.zeros { 3, 4, 2, 2 }, { padding = 1 })
      end,
      message = "conv_transpose2d: the result would have 0 rows (input 1x1, kernel 2x2)" },
    { call = function(m)
        m.conv_transpose2d(m.zeros { 1, 3, 4, 4 }, m.zeros { 3, 4, 2, 2 }, m.zeros { 3 })
      end,
      message = "conv_transpose2d: bias is {3}; expected {4}, one per channel made" },
    { call = function(m)
        m.conv_transpose2d(m.zeros { 1, 3, 4, 4 }, m.zeros { 3, 4, 2, 2 }, { groups = 2 })
      end,
      message = "conv_transpose2d: 3 input channels are not divisible by groups = 2" },
  },
  tolerance = { float32 = 1e-5 },
}
