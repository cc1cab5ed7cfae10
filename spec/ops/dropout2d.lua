-- Samples of dropout2d, and checks of its random numbers.
local S = require "spec.support.sample"

--- dropout2d of ones and the gradient of its sum, from a seed.
local function run(m, shape, dtype, layout, p)
  local x = S.relayout(m, m.ones(shape, { dtype = dtype }), layout)
  x:requires_grad_(true)
  m.manual_seed(11)
  local y = m.dropout2d(x, { p = p })
  y:sum():backward()
  return y, x.grad
end

local function same(m, a, b)
  return m.allclose(a:to "float64", b:to "float64", { rtol = 1e-6, atol = 0 })
end

return {
  samples = {
    { args = { S.randn { 3, 5, 7, 2 } }, options = { p = 0 }, name = "p = 0 keeps all" },
    { args = { S.randn { 2, 3, 5, 4 } }, options = { p = 1 }, name = "p = 1 keeps none" },
    { args = { S.randn { 2, 3, 5, 4 } }, options = { training = false }, name = "a copy" },
    { args = { S.randn { 0, 4, 2, 2 } }, name = "empty batch" },
  },
  errors = {
    { call = function(m) m.dropout2d(m.zeros { 2, 3 }) end,
      message = "dropout2d: input has 2 dimensions {2, 3}; expected 4 {batch, channels, height, width}" },
    { call = function(m) m.dropout2d(m.zeros { 2, 3, 4, 4 }, { p = 1.5 }) end,
      message = "dropout2d: p is 1.5; must be in [0, 1]" },
  },
  tolerance = { float32 = 1e-6 },
  check = function(m)
    for _, shape in ipairs { { 3, 5, 7, 2 }, { 2, 300, 3, 3 } } do
      local want = run(m, shape, "float64", "row", 0.4)
      for _, layout in ipairs { "row", "view", "nhwc" } do
        for _, dtype in ipairs { "float32", "float64" } do
          local y, dx = run(m, shape, dtype, layout, 0.4)
          assert(same(m, y, want), "a seed and an index decide, not dtype or layout")
          assert(same(m, dx, want), "the gradient goes where the values went")
        end
      end
    end
    local y = run(m, { 100, 100, 2, 2 }, "float32", "nhwc", 0.3)
    local channels = y:reshape { 10000, 4 }
    local whole = channels:eq(channels:select(2, 1):unsqueeze(2):expand(10000, 4)):all():item()
    assert(whole == true or whole == 1, "a channel goes or stays as a whole")
    local kept = channels:select(2, 1):ne(0):sum():item() / 10000
    assert(math.abs(kept - 0.7) < 0.03, "p is the share that is dropped")
  end,
}
