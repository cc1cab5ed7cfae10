-- Samples of conv2d_norm.
local S = require "spec.support.sample"
local op = require "mascon.op"

--- Arguments for x, weight, the output's shape and whether there is a residual.
local function args(x, weight, y, residual)
  local oc = weight[1]
  local list = { S.randn(x), S.randn(weight), S.randn { oc }, S.randn { oc }, S.rand({ oc }, 0.5, 2),
    S.randn { oc }, S.randn { oc } }
  list[8] = residual and S.randn(y) or nil
  return list
end

local function run(...)
  return op.run("conv2d_norm", "conv2d_norm", false, ...)
end

local samples = {
  { args = args({ 2, 3, 8, 8 }, { 4, 3, 3, 3 }, { 2, 4, 4, 4 }, true),
    options = { stride = 2, padding = 1, relu = true, eps = 0.1 }, name = "stride and padding" },
  { args = args({ 2, 4, 5, 7 }, { 6, 2, 2, 4 }, { 2, 6, 5, 7 }, true),
    options = { padding = "same", groups = 2 }, name = "groups" },
  { args = args({ 3, 5, 4, 4 }, { 7, 5, 1, 1 }), name = "1x1" },
  { args = args({ 0, 3, 5, 5 }, { 4, 3, 3, 3 }, { 0, 4, 3, 3 }, true), name = "empty batch" },
  { args = { S.randn { 2, 3, 5, 5 }, S.randn { 4, 3, 1, 1 } }, options = { relu = true },
    name = "nothing but relu" },
  { args = { S.randn { 2, 3, 5, 5 }, S.randn { 4, 3, 1, 1 }, S.randn { 4 }, S.randn { 4 },
    S.rand({ 4 }, 1, 2) }, name = "without weight and bias of the norm" },
  { args = args({ 2, 8, 9, 10 }, { 11, 8, 3, 3 }, { 2, 11, 9, 10 }, true),
    options = { padding = 1, relu = true }, name = "parts of tiles" },
  { args = args({ 2, 90, 4, 5 }, { 88, 90, 3, 3 }, { 2, 88, 4, 5 }, true),
    options = { padding = 1 }, name = "many channels" },
  { args = args({ 2, 12, 16, 16 }, { 5, 12, 3, 3 }, { 2, 5, 16, 16 }, true),
    options = { padding = 1, relu = true }, name = "few channels" },
  { args = args({ 2, 18, 6, 9 }, { 18, 1, 3, 3 }, { 2, 18, 6, 9 }, true),
    options = { padding = 1, groups = 18, relu = true }, name = "depthwise" },
  { args = args({ 5, 16, 40, 24 }, { 256, 16, 1, 1 }, { 5, 256, 40, 24 }, true),
    options = { relu = true }, name = "several pictures in slices of rows" },
  { args = args({ 2, 3, 8, 8 }, { 4, 3, 3, 3 }, { 2, 4, 4, 4 }, true),
    options = { stride = 2, padding = 1, relu = true, eps = 0.1, training = true }, name = "training" },
  { args = { S.randn { 3, 5, 4, 4 }, S.randn { 7, 5, 1, 1 } }, options = { training = true },
    name = "training, statistics of the batch alone" },
  { args = args({ 5, 16, 40, 24 }, { 64, 16, 1, 1 }, { 5, 64, 40, 24 }, true),
    options = { relu = true, training = true, momentum = 0.5 },
    name = "training, several pictures in slices of rows" },
  { args = args({ 2, 18, 6, 9 }, { 18, 1, 3, 3 }, { 2, 18, 6, 9 }), name = "training, depthwise",
    options = { padding = 1, groups = 18, relu = true, training = true } },
  { args = args({ 3, 4, 5, 5 }, { 1, 4, 3, 3 }, { 3, 1, 3, 3 }, true), name = "training, one channel",
    options = { training = true } },
  { args = args({ 0, 3, 5, 5 }, { 4, 3, 3, 3 }, { 0, 4, 3, 3 }, true), options = { training = true },
    name = "training, empty batch" },
}
for _, sample in ipairs(samples) do
  sample.grad = false -- the op has none
end

return {
  samples = samples,
  errors = {
    { call = function(m) run(m.zeros { 2, 3, 8, 8 }, m.zeros { 4, 5, 3, 3 }) end,
      message = "conv2d_norm: input has 3 channels, the layer takes 5" },
    { call = function(m)
        run(m.zeros { 2, 3, 8, 8 }, m.zeros { 4, 3, 3, 3 }, m.zeros { 4 }, m.zeros { 5 }, m.zeros { 4 })
      end,
      message = "conv2d_norm: running_mean is {5}; expected {4}, one per channel" },
    { call = function(m)
        run(m.zeros { 2, 3, 8, 8 }, m.zeros { 4, 3, 3, 3 }, m.zeros { 4 }, m.zeros { 4 })
      end,
      message = "conv2d_norm: running_var is missing: both running statistics or none" },
    { call = function(m)
        run(m.zeros { 2, 3, 8, 8 }, m.zeros { 4, 3, 3, 3 }, m.zeros { 4 }, m.zeros { 4 }, m.zeros { 4 },
          m.zeros { 4 }, m.zeros { 4 }, m.zeros { 2, 4, 8, 8 })
      end,
      message = "conv2d_norm: residual is {2, 4, 8, 8}; expected {2, 4, 6, 6}" },
    { call = function(m)
        run(m.zeros { 2, 3, 8, 8 }, m.zeros({ 4, 3, 3, 3 }, { requires_grad = true }))
      end,
      message = "conv2d_norm: an input requires a gradient" },
    { call = function(m) run(m.zeros { 1, 3, 3, 3 }, m.zeros { 4, 3, 3, 3 }, { training = true }) end,
      message = "conv2d_norm: 1 value per channel in training mode; needs 2 or more" },
    { call = function(m)
        run(m.zeros({ 2, 3, 3, 3 }, { dtype = "float16" }), m.zeros({ 4, 3, 3, 3 }, { dtype = "float16" }),
          { training = true })
      end,
      message = "conv2d_norm: training takes no float16, and no bfloat16 of one channel" },
  },
  tolerance = { float32 = 1e-5 },
}
