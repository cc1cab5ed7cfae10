-- Samples of group_norm.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn { 2, 6, 4, 3 }, S.randn { 6 }, S.randn { 6 } }, options = { groups = 3 } },
    { args = { S.randn { 2, 6, 4, 3 } }, options = { groups = 1, eps = 1e-3 }, name = "one group" },
    { args = { S.randn { 3, 4, 5 }, S.randn { 4 }, S.randn { 4 } }, options = { groups = 4 },
      name = "each channel by itself" },
    { args = { S.randn { 3, 8 }, S.randn { 8 }, S.randn { 8 } }, options = { groups = 2 },
      name = "2 dimensions" },
    { args = { S.randn { 2, 4, 2, 3, 2 }, S.randn { 4 } }, options = { groups = 2 },
      name = "5 dimensions, no bias" },
    { args = { S.randn { 9, 32, 9, 11 }, S.randn { 32 }, S.randn { 32 } }, options = { groups = 8 },
      name = "several slices" },
    { args = { S.randn { 0, 4, 3 }, S.randn { 4 }, S.randn { 4 } }, options = { groups = 2 },
      grad = false, name = "empty batch" },
    { args = { S.randn { 2, 6, 4, 3 }, S.randn { 6 }, S.randn { 6 } }, options = { groups = 3 },
      grad = { false, true, false }, name = "gradient of the weight alone" },
  },
  errors = {
    { call = function(m) m.group_norm(m.zeros { 2, 6, 4 }, 4) end,
      message = "group_norm: 6 channels are not divisible by groups = 4" },
    { call = function(m) m.group_norm(m.zeros { 2, 6, 4 }, 3, m.ones { 3 }) end,
      message = "group_norm: weight is {3}; expected {6}, one per channel" },
    { call = function(m) m.group_norm(m.zeros { 6 }, 3) end,
      message = "group_norm: input has 1 dimension {6}; expected {batch, channels, ...}",
      hint = "x:unsqueeze(1)" },
    { call = function(m) m.group_norm(m.zeros { 2, 6 }, 0) end,
      message = "group_norm: groups is 0; must be 1 or more" },
  },
  tolerance = { float32 = 3e-6, gradient = 2e-5 },
  check = function(m)
    local x, w, b = m.randn { 2, 6, 3 }, m.randn { 6 }, m.randn { 6 }
    assert(m.allclose(m.group_norm(x, 2, w, b, { eps = 1e-3 }),
      m.group_norm(x, w, b, { groups = 2, eps = 1e-3 })), "groups stand second")
  end,
}
