-- Samples of binary_cross_entropy_with_logits.
local S = require "spec.support.sample"

local NAME = "binary_cross_entropy_with_logits"

return {
  samples = {
    { args = { S.randn { 4, 5 }, S.rand { 4, 5 } }, name = "mean" },
    { args = { S.randn { 2, 3, 4, 5 }, S.rand { 2, 3, 4, 5 }, S.rand({ 5 }, 0.5, 2) },
      options = { reduction = "sum" }, grad = { true, true, false }, name = "weighted sum" },
    { args = { S.randn { 4, 3 }, S.rand { 4, 3 }, S.rand({ 4, 1 }, 0.5, 2), S.rand({ 3 }, 0.5, 3) },
      options = { reduction = "none" }, grad = { true, true, false, false }, name = "both weights" },
    { args = { S.values { -800, -30, 0.5, 30, 800 }, S.values { 0, 1, 0.5, 0, 1 } }, grad = false,
      name = "large scores" },
    { args = { S.randn { 0, 4 }, S.rand { 0, 4 } }, options = { reduction = "sum" },
      name = "empty batch, sum" },
  },
  errors = {
    { call = function(m) m[NAME](m.zeros { 4, 1 }, m.zeros { 4 }) end,
      message = NAME .. ": input is {4, 1}, target is {4}; must be equal" },
    { call = function(m) m[NAME](m.zeros { 4, 3 }, m.zeros { 4, 3 }, m.zeros { 4 }) end,
      message = NAME .. ": shapes {4, 3} and {4} do not broadcast" },
    { call = function(m) m[NAME](m.zeros { 3 }, m.zeros { 3 }, m.zeros { 2, 3 }) end,
      message = NAME .. ": weight {2, 3} does not fit input {3}" },
    { call = function(m)
        m[NAME](m.zeros({ 3 }, { requires_grad = true }), m.zeros { 3 },
          m.ones({ 3 }, { requires_grad = true }))
      end,
      message = NAME .. ": weight has no gradient", hint = "weight:detach()" },
  },
  tolerance = { float32 = 2e-6 },
}
