-- Samples of mse_loss.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn { 4, 5 }, S.randn { 4, 5 } }, name = "mean" },
    { args = { S.randn { 2, 3, 4, 5 }, S.randn { 2, 3, 4, 5 } }, options = { reduction = "sum" },
      name = "sum" },
    { args = { S.randn { 3, 1 }, S.randn { 3, 1 } }, options = { reduction = "none" }, name = "none" },
    { args = { S.values(0.75), S.values(-1.5) }, name = "single numbers" },
    { args = { S.randn { 0, 4 }, S.randn { 0, 4 } }, options = { reduction = "sum" },
      name = "empty batch, sum" },
    { args = { S.randn { 4, 5 }, S.randn { 4, 5 } }, grad = { false, true },
      name = "gradient of the target alone" },
  },
  errors = {
    { call = function(m) m.mse_loss(m.zeros { 4, 1 }, m.zeros { 4 }) end,
      message = "mse_loss: input is {4, 1}, target is {4}; must be equal", hint = "target:reshape(x.shape)" },
    { call = function(m) m.mse_loss(m.zeros { 4 }, m.zeros({ 4 }, { dtype = "float64" })) end,
      message = "mse_loss: dtypes float32 and float64", hint = 'target:to("float32")' },
    { call = function(m) m.mse_loss(m.zeros { 0 }, m.zeros { 0 }) end,
      message = "mse_loss: mean over 0 targets is undefined", hint = 'reduction = "sum"' },
    { call = function(m) m.mse_loss(m.zeros { 2 }, m.zeros { 2 }, { reduction = "avg" }) end,
      message = 'mse_loss: reduction is "avg"; expected one of mean, sum, none' },
  },
  tolerance = { float32 = 2e-6 },
}
