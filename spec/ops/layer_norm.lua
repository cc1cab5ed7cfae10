-- Samples of layer_norm.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn { 4, 6 }, S.randn { 6 }, S.randn { 6 } }, options = { sizes = { 6 } } },
    { args = { S.randn { 2, 3, 5, 4 }, S.randn { 5, 4 }, S.randn { 5, 4 } },
      options = { sizes = { 5, 4 }, eps = 1e-3 }, name = "two sizes" },
    { args = { S.randn { 3, 7 } }, options = { sizes = { 7 } }, name = "no weight" },
    { args = { S.randn { 3, 7 }, S.randn { 7 } }, options = { sizes = { 7 } }, name = "no bias" },
    { args = { S.randn { 3, 2, 2 } }, options = { sizes = { 3, 2, 2 } }, name = "one row" },
    { args = { S.randn { 3, 1 }, S.randn { 1 }, S.randn { 1 } }, options = { sizes = { 1 } },
      name = "size 1" },
    { args = { S.randn { 150, 133 }, S.randn { 133 }, S.randn { 133 } }, options = { sizes = { 133 } },
      name = "several slices" },
    { args = { S.randn { 2, 4099 }, S.randn { 4099 }, S.randn { 4099 } },
      options = { sizes = { 4099 } }, name = "long rows" },
    { args = { S.randn { 0, 4 }, S.randn { 4 }, S.randn { 4 } }, options = { sizes = { 4 } },
      grad = false, name = "empty batch" },
    { args = { S.randn { 4, 6 }, S.randn { 6 }, S.randn { 6 } }, options = { sizes = { 6 } },
      grad = { true, false, false }, name = "gradient of the input alone" },
  },
  errors = {
    { call = function(m) m.layer_norm(m.zeros { 4, 6 }, { 5 }) end,
      message = "layer_norm: input {4, 6} does not end with sizes {5}" },
    { call = function(m) m.layer_norm(m.zeros { 4, 6 }, { 6 }, m.ones { 4 }) end,
      message = "layer_norm: weight is {4}; expected {6}" },
    { call = function(m) m.layer_norm(m.zeros { 4, 6 }) end,
      message = "layer_norm: option sizes is missing" },
    { call = function(m) m.layer_norm(m.zeros { 4, 6 }, { 6 }, m.ones({ 6 }, { dtype = "float64" })) end,
      message = "layer_norm: dtypes float32 and float64", hint = 'weight:to("float32")' },
  },
  tolerance = { float32 = 3e-6, gradient = 2e-5 },
  check = function(m)
    local x, w, b = m.randn { 4, 6 }, m.randn { 6 }, m.randn { 6 }
    local y = m.layer_norm(x, { 6 }, w, b, { eps = 1e-3 })
    assert(m.allclose(y, m.layer_norm(x, w, b, { sizes = { 6 }, eps = 1e-3 })), "sizes stand second")
    assert(m.allclose(m.layer_norm(x, { 6 }, nil, b), m.layer_norm(x, { 6 }) + b), "no weight")
    assert(m.allclose(m.layer_norm(x, { 6, eps = 1e-3 }), m.layer_norm(x, { 6 }, nil, nil,
      { eps = 1e-3 })), "options with the sizes")
  end,
}
