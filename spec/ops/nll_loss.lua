-- Samples of nll_loss. Labels count from 1.
local S = require "spec.support.sample"

local function labels(m, list)
  return m.tensor(list, { dtype = "int64" })
end

return {
  samples = {
    { args = { S.randn { 4, 10 }, S.labels({ 4 }, 10) }, name = "mean" },
    { args = { S.randn { 5, 3 }, S.labels({ 5 }, 3), S.rand({ 3 }, 0.5, 2) },
      grad = { true, false, false }, name = "weighted" },
    { args = { S.randn { 2, 5, 3, 4 }, S.labels({ 2, 3, 4 }, 5) }, options = { reduction = "none" },
      name = "a picture of labels, none" },
    { args = { S.randn { 24, 3 }, S.labels({ 24 }, 3), S.rand({ 3 }, 0.5, 2) },
      options = { ignore_index = 2 }, grad = { true, false, false }, name = "ignore_index, weighted" },
    { args = { S.randn { 6, 4 }, S.labels({ 6 }, 4) }, options = { reduction = "sum" }, name = "sum" },
    { args = { S.randn { 0, 4 }, S.labels({ 0 }, 4) }, options = { reduction = "sum" },
      name = "empty batch, sum" },
  },
  errors = {
    { call = function(m) m.nll_loss(m.zeros { 2, 3 }, labels(m, { 1, 0 })) end,
      message = "nll_loss: target 2 of 2 is 0; classes run 1..3", hint = "labels counted from 0? add 1" },
    { call = function(m) m.nll_loss(m.zeros { 2, 3 }, labels(m, { 4, 1 })) end,
      message = "nll_loss: target 1 of 2 is 4; classes run 1..3" },
    { call = function(m) m.nll_loss(m.zeros { 2, 3 }, m.zeros { 2, 3 }) end,
      message = "nll_loss: targets are float32 {2, 3}; expected int64 class numbers {2}" },
    { call = function(m) m.nll_loss(m.zeros { 2, 3 }, labels(m, { 1, 1, 1 })) end,
      message = "nll_loss: 2 rows of scores but 3 targets" },
    { call = function(m) m.nll_loss(m.zeros { 2, 3 }, labels(m, { 1, 1 }), m.ones { 2 }) end,
      message = "nll_loss: weight is {2}; expected {3}, one per class" },
    { call = function(m) m.nll_loss(m.zeros { 0, 3 }, m.zeros({ 0 }, { dtype = "int64" })) end,
      message = "nll_loss: mean over 0 targets is undefined", hint = 'reduction = "sum"' },
    { call = function(m) m.nll_loss(m.zeros { 3 }, labels(m, { 1 })) end,
      message = "nll_loss: scores have 1 dimension {3}; expected {batch, classes}",
      hint = "x:unsqueeze(1)" },
  },
  tolerance = { float32 = 2e-6 },
}
