-- Samples of max_pool2d.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn { 2, 3, 8, 8 } }, options = { kernel_size = 2 } },
    { args = { S.randn { 2, 3, 7, 5 } }, options = { kernel_size = { 3, 2 }, stride = { 2, 1 } },
      name = "rectangular" },
    { args = { S.randn { 1, 5, 7, 7 } }, options = { kernel_size = 3, stride = 2, padding = 1 },
      name = "padding" },
    { args = { S.randn { 2, 1, 7, 6 } }, options = { kernel_size = 2, ceil_mode = true },
      name = "ceil_mode" },
    { args = { S.randn { 1, 2, 5, 5 } },
      options = { kernel_size = 2, stride = 3, padding = 1, ceil_mode = true },
      name = "ceil_mode drops a window that begins behind the input" },
    { args = { S.randn { 1, 2, 9, 8 } }, options = { kernel_size = 3, stride = 1, dilation = { 2, 3 } },
      name = "dilation" },
    { args = { S.randn { 1, 1, 2, 2 } }, options = { kernel_size = 3, stride = 2, ceil_mode = true },
      name = "kernel larger than the input with ceil_mode" },
    { args = { S.randn { 1, 1, 1, 1 } }, options = { kernel_size = 1 }, name = "sizes of 1" },
    { args = { S.randn { 0, 2, 6, 6 } }, options = { kernel_size = 3 }, name = "empty batch" },
    { args = { S.randn { 1, 1, 20, 20 } }, options = { kernel_size = 17, stride = 1 },
      name = "more positions than a byte counts" },
    { args = { S.values { { { { 1, 1, 0, 2 }, { 1, 1, 2, 0 }, { -1, 3, 3, 3 } } } } },
      options = { kernel_size = 2, stride = 1 }, grad = { false }, name = "ties" },
    { args = { S.int({ 2, 3, 6, 6 }, -2, 2) }, options = { kernel_size = 3, stride = 1 },
      name = "whole numbers" },
    { args = { S.randn { 3, 17, 6, 6 } }, options = { kernel_size = 2, stride = 2 }, name = "17 channels" },
  },
  errors = {
    { call = function(m) m.max_pool2d(m.zeros { 3, 8, 8 }, { kernel_size = 2 }) end,
      message = "max_pool2d: input has 3 dimensions {3, 8, 8}; expected 4 {batch, channels, height, width}",
      hint = "x:unsqueeze(1)" },
    { call = function(m) m.max_pool2d(m.zeros { 1, 1, 2, 2 }, { kernel_size = 3 }) end,
      message = "max_pool2d: kernel 3x3 is larger than the padded input 2x2 (input 2x2, padding 0)" },
    { call = function(m) m.max_pool2d(m.zeros { 1, 1, 8, 8 }, { kernel_size = 3, padding = 2 }) end,
      message = "max_pool2d: padding 2 is more than half of the kernel 3x3" },
    { call = function(m)
        m.max_pool2d(m.zeros { 1, 1, 1, 1 }, { kernel_size = 2, dilation = 3, padding = 2 })
      end,
      message = "max_pool2d: a window 2x2 with dilation 3 would hold no element of the input 1x1" },
    { call = function(m) m.max_pool2d(m.zeros { 1, 1, 8, 8 }, { kernel_size = 0 }) end,
      message = "max_pool2d: kernel_size is 0; must be 1 or more" },
    { call = function(m) m.max_pool2d(m.zeros { 1, 1, 8, 8 }) end,
      message = "max_pool2d: option kernel_size is missing" },
  },
  tolerance = { float32 = 1e-6 },
}
