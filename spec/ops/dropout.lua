-- Samples of dropout, and checks of its random numbers.
local S = require "spec.support.sample"

--- Dropout of ones and the gradient of its sum, from a seed.
local function run(m, shape, dtype, layout, p)
  local x = S.relayout(m, m.ones(shape, { dtype = dtype }), layout)
  x:requires_grad_(true)
  m.manual_seed(11)
  local y = m.dropout(x, { p = p })
  y:sum():backward()
  return y, x.grad
end

local function same(m, a, b)
  return m.allclose(a:to "float64", b:to "float64", { rtol = 1e-6, atol = 0 })
end

return {
  samples = {
    { args = { S.randn { 3, 5, 7 } }, options = { p = 0 }, name = "p = 0 keeps all" },
    { args = { S.randn { 2, 3, 5, 4 } }, options = { p = 1 }, name = "p = 1 keeps none" },
    { args = { S.randn { 2, 3, 5, 4 } }, options = { training = false }, name = "a copy" },
    { args = { S.randn { 0, 4 } }, name = "empty batch" },
    { args = { S.randn {} }, options = { p = 0 }, name = "a single number" },
  },
  errors = {
    { call = function(m) m.dropout(m.zeros { 2, 3 }, { p = 1.5 }) end,
      message = "dropout: p is 1.5; must be in [0, 1]" },
    { call = function(m) m.dropout(m.zeros { 2, 3 }, { p = -0.1 }) end,
      message = "dropout: p is -0.1; must be in [0, 1]" },
  },
  tolerance = { float32 = 1e-6 },
  check = function(m)
    for _, shape in ipairs { { 3, 5, 7 }, { 2, 3, 5, 17 }, { 1 }, { 4099 } } do
      for _, p in ipairs { 0.2, 0.5, 0.9 } do
        local want = run(m, shape, "float64", "row", p)
        for _, layout in ipairs { "row", "view", "nhwc" } do
          for _, dtype in ipairs { "float32", "float64" } do
            local y, dx = run(m, shape, dtype, layout, p)
            assert(same(m, y, want), "a seed and an index decide, not dtype or layout")
            assert(same(m, dx, want), "the gradient goes where the values went")
          end
        end
      end
    end
    local y = run(m, { 100000 }, "float32", "row", 0.3)
    local kept = y:ne(0):sum():item() / 100000
    assert(math.abs(kept - 0.7) < 0.01, "p is the share that is dropped")
    assert(math.abs(y:max():item() - 1 / 0.7) < 1e-6, "the rest is scaled")
  end,
}
