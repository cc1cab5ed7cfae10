-- Samples of conv2d.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn { 2, 3, 8, 8 }, S.randn { 4, 3, 3, 3 }, S.randn { 4 } },
      options = { stride = 2, padding = 1 }, name = "stride and padding" },
    { args = { S.randn { 2, 3, 5, 7 }, S.randn { 4, 3, 3, 3 } }, options = { padding = "same" },
      name = "same, no bias" },
    { args = { S.randn { 2, 4, 5, 7 }, S.randn { 6, 2, 2, 4 }, S.randn { 6 } },
      options = { padding = "same", groups = 2, dilation = { 2, 1 } },
      name = "same with even kernels: the odd row of zeros comes last" },
    { args = { S.randn { 1, 2, 5, 6 }, S.randn { 3, 2, 3, 2 }, S.randn { 3 } },
      options = { padding = "valid" }, name = "valid" },
    { args = { S.randn { 1, 1, 1, 1 }, S.randn { 1, 1, 1, 1 }, S.randn { 1 } }, name = "sizes of 1" },
    { args = { S.randn { 3, 5, 4, 4 }, S.randn { 7, 5, 1, 1 }, S.randn { 7 } }, name = "1x1" },
    { args = { S.randn { 0, 3, 5, 5 }, S.randn { 4, 3, 3, 3 }, S.randn { 4 } }, name = "empty batch" },
    { args = { S.randn { 3, 4, 9, 6 }, S.randn { 8, 1, 3, 2 } },
      options = { groups = 4, stride = { 2, 3 }, padding = { 1, 0 } }, name = "depthwise, two each" },
    { args = { S.randn { 2, 3, 7, 9 }, S.randn { 2, 3, 3, 3 }, S.randn { 2 } },
      options = { dilation = { 2, 3 }, padding = { 2, 1 } }, name = "dilation" },
    { args = { S.randn { 1, 6, 5, 5 }, S.randn { 4, 3, 3, 3 }, S.randn { 4 } },
      options = { groups = 2, padding = 3, stride = 3 }, name = "groups, padding beyond the kernel" },
    { args = { S.randn { 2, 2, 6, 6 }, S.randn { 3, 2, 1, 1 }, S.randn { 3 } },
      options = { stride = 2 }, name = "elements that no window meets" },
    { args = { S.randn { 2, 3, 5, 5 }, S.randn { 4, 3, 3, 3 }, S.randn { 4 } },
      grad = { false, false, true }, name = "gradient of the bias alone" },
    { args = { S.randn { 2, 3, 5, 5 }, S.randn { 4, 3, 3, 3 }, S.randn { 4 } },
      grad = { true, false, false }, name = "gradient of the input alone" },
    { args = { S.randn { 2, 17, 9, 11 }, S.randn { 19, 17, 3, 3 }, S.randn { 19 } },
      options = { padding = 1 }, grad = { false, false, true }, name = "odd numbers of channels" },
  },
  errors = {
    { call = function(m) m.conv2d(m.zeros { 128, 3, 32, 32 }, m.zeros { 64, 64, 3, 3 }) end,
      message = "conv2d: input has 3 channels, the layer takes 64" },
    { call = function(m) m.conv2d(m.zeros { 3, 32, 32 }, m.zeros { 8, 3, 3, 3 }) end,
      message = "conv2d: input has 3 dimensions {3, 32, 32}; expected 4 {batch, channels, height, width}",
      hint = "x:unsqueeze(1)" },
    { call = function(m) m.conv2d(m.zeros { 32, 32, 32, 3 }, m.zeros { 8, 3, 3, 3 }) end,
      message = "conv2d: input has 32 channels, the layer takes 3",
      hint = "the last dimension is 3: is the data {batch, height, width, channels}? "
        .. "x:permute(1, 4, 2, 3)" },
    { call = function(m) m.conv2d(m.zeros { 1, 3, 5, 5 }, m.zeros { 8, 3, 7, 7 }) end,
      message = "conv2d: kernel 7x7 is larger than the padded input 5x5 (input 5x5, padding 0)" },
    { call = function(m)
        m.conv2d(m.zeros { 1, 3, 5, 5 }, m.zeros { 8, 3, 3, 3 }, { dilation = { 3, 4 }, padding = { 0, 1 } })
      end,
      message = "conv2d: kernel 3x3 with dilation 3x4 is larger than the padded input 5x7 "
        .. "(input 5x5, padding 0x1)" },
    { call = function(m) m.conv2d(m.zeros { 1, 3, 5, 5 }, m.zeros { 8, 3, 3, 3 }, { stride = 0 }) end,
      message = "conv2d: stride is 0; must be 1 or more" },
    { call = function(m) m.conv2d(m.zeros { 1, 3, 5, 5 }, m.zeros { 8, 3, 3, 3 }, { padding = -1 }) end,
      message = "conv2d: padding is -1; must be 0 or more" },
    { call = function(m)
        m.conv2d(m.zeros { 1, 3, 5, 5 }, m.zeros { 8, 3, 3, 3 }, { stride = 2, padding = "same" })
      end,
      message = 'conv2d: padding "same" needs stride 1; stride is 2x2' },
    { call = function(m) m.conv2d(m.zeros { 1, 64, 5, 5 }, m.zeros { 64, 21, 3, 3 }, { groups = 3 }) end,
      message = "conv2d: 64 input channels are not divisible by groups = 3" },
    { call = function(m) m.conv2d(m.zeros { 1, 3, 5, 5 }, m.zeros { 64, 1, 3, 3 }, { groups = 3 }) end,
      message = "conv2d: 64 output channels are not divisible by groups = 3" },
    { call = function(m) m.conv2d(m.zeros { 1, 3, 5, 5 }, m.zeros { 8, 3, 3 }) end,
      message = "conv2d: weight has 3 dimensions {8, 3, 3}; expected 4" },
    { call = function(m) m.conv2d(m.zeros { 1, 3, 5, 5 }, m.zeros { 8, 3, 3, 3 }, m.zeros { 3 }) end,
      message = "conv2d: bias is {3}; expected {8}, one per channel made" },
    { call = function(m)
        m.conv2d(m.zeros({ 1, 3, 5, 5 }, { dtype = "float64" }), m.zeros { 8, 3, 3, 3 })
      end,
      message = "conv2d: dtypes float64 and float32", hint = 'x:to("float32")' },
  },
  tolerance = { float32 = 1e-5 },
}
