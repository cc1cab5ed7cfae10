-- Samples of linear.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn { 5, 3 }, S.randn { 4, 3 }, S.randn { 4 } } },
    { args = { S.randn { 5, 3 }, S.randn { 4, 3 } }, name = "no bias" },
    { args = { S.randn { 3 }, S.randn { 4, 3 }, S.randn { 4 } }, name = "one row" },
    { args = { S.randn { 2, 5, 3, 7 }, S.randn { 1, 7 }, S.randn { 1 } }, name = "four dimensions" },
    { args = { S.randn { 0, 3 }, S.randn { 4, 3 }, S.randn { 4 } }, name = "empty batch" },
    { args = { S.randn { 2, 0 }, S.randn { 4, 0 }, S.randn { 4 } }, name = "no features" },
    { args = { S.randn { 1, 1 }, S.randn { 1, 1 }, S.randn { 1 } }, name = "sizes of 1" },
    { args = { S.randn { 33, 65 }, S.randn { 17, 65 }, S.randn { 17 } }, grad = { false, false, true },
      name = "gradient of the bias alone" },
    { args = { S.randn { 2, 3, 5 }, S.randn { 4, 5 }, S.randn { 4 } }, grad = { false, true, false },
      name = "gradient of the weight alone" },
  },
  errors = {
    { call = function(m) m.linear(m.zeros { 2, 5 }, m.zeros { 4, 3 }) end,
      message = "linear: input has 5 features, the layer takes 3; input {2, 5}" },
    { call = function(m) m.linear(m.zeros {}, m.zeros { 4, 3 }) end,
      message = "linear: input is a single number; expected {..., features}" },
    { call = function(m) m.linear(m.zeros { 2, 3 }, m.zeros { 3 }) end,
      message = "linear: weight has 1 dimension {3}; expected 2 {out, in}" },
    { call = function(m) m.linear(m.zeros { 2, 3 }, m.zeros { 4, 3 }, m.zeros { 3 }) end,
      message = "linear: bias is {3}; expected {4}, one per feature made" },
    { call = function(m) m.linear(m.zeros({ 2, 3 }, { dtype = "float64" }), m.zeros { 4, 3 }) end,
      message = "linear: dtypes float64 and float32", hint = 'x:to("float32")' },
  },
  tolerance = { float32 = 1e-5 },
}
