-- Samples of cross_entropy. Labels count from 1, ignore_index is a value among them.
local S = require "spec.support.sample"

--- n labels of 1, with one other.
local function labels(m, n, position, value)
  local list = {}
  for i = 1, n do
    list[i] = i == position and value or 1
  end
  return m.tensor(list, { dtype = "int64" })
end

return {
  samples = {
    { args = { S.randn { 4, 10 }, S.labels({ 4 }, 10) }, name = "mean" },
    { args = { S.randn { 5, 3 }, S.labels({ 5 }, 3) }, options = { reduction = "sum" }, name = "sum" },
    { args = { S.randn { 5, 3 }, S.labels({ 5 }, 3) }, options = { reduction = "none" }, name = "none" },
    { args = { S.randn { 1, 1 }, S.labels({ 1 }, 1) }, name = "sizes of 1" },
    { args = { S.randn { 2, 5, 3, 4 }, S.labels({ 2, 3, 4 }, 5) }, name = "a picture of labels" },
    { args = { S.randn { 2, 5, 3 }, S.labels({ 2, 3 }, 5) },
      options = { reduction = "none", label_smoothing = 0.1 }, name = "a row of labels, smoothed" },
    { args = { S.randn { 6, 4 }, S.labels({ 6 }, 4) }, options = { label_smoothing = 0.2 },
      name = "smoothing" },
    { args = { S.randn { 6, 4 }, S.labels({ 6 }, 4) }, options = { label_smoothing = 1 },
      name = "smoothing of 1" },
    { args = { S.randn { 6, 4 }, S.labels({ 6 }, 4), S.rand({ 4 }, 0.5, 2) },
      grad = { true, false, false }, name = "weighted mean" },
    { args = { S.randn { 6, 4 }, S.labels({ 6 }, 4), S.rand({ 4 }, 0.5, 2) },
      options = { label_smoothing = 0.1 }, grad = { true, false, false },
      name = "weighted mean, smoothed" },
    { args = { S.randn { 6, 4 }, S.labels({ 6 }, 4), S.rand({ 4 }, 0.5, 2) },
      options = { reduction = "none" }, grad = { true, false, false }, name = "weighted" },
    { args = { S.randn { 24, 3 }, S.labels({ 24 }, 3) }, options = { ignore_index = 2 },
      name = "ignore_index" },
    { args = { S.randn { 24, 3 }, S.labels({ 24 }, 3), S.rand({ 3 }, 0.5, 2) },
      options = { ignore_index = 3, label_smoothing = 0.1, reduction = "sum" },
      grad = { true, false, false }, name = "ignore_index, weighted, smoothed" },
    { args = { S.randn { 3, 4 }, S.labels({ 3 }, 1) }, options = { ignore_index = 1, reduction = "sum" },
      name = "all ignored" },
    { args = { S.randn { 0, 4 }, S.labels({ 0 }, 4) }, options = { reduction = "sum" },
      name = "empty batch, sum" },
    { args = { S.randn { 0, 4 }, S.labels({ 0 }, 4) }, options = { reduction = "none" },
      name = "empty batch, none" },
    { args = { S.randn { 5, 4 }, S.probabilities { 5, 4 } }, name = "probabilities" },
    { args = { S.randn { 5, 4 }, S.probabilities { 5, 4 } }, options = { reduction = "sum" },
      name = "probabilities, sum" },
    { args = { S.randn { 2, 4, 3 }, S.probabilities { 2, 4, 3 } },
      options = { reduction = "none", label_smoothing = 0.1 }, name = "probabilities, none, smoothed" },
    { args = { S.randn { 5, 4 }, S.probabilities { 5, 4 }, S.rand({ 4 }, 0.5, 2) },
      options = { label_smoothing = 0.1 }, grad = { true, true, false },
      name = "probabilities, weighted, smoothed" },
    { args = { S.values { { 1000, 0, -1000 }, { -1000, -1001, -1002 } }, S.labels({ 2 }, 3) },
      name = "large scores" },
    { args = { S.randn { 7, 33 }, S.labels({ 7 }, 33) }, name = "33 classes" },
  },
  errors = {
    { call = function(m) m.cross_entropy(m.zeros { 128, 10 }, labels(m, 128, 17, 0)) end,
      message = "cross_entropy: target 17 of 128 is 0; classes run 1..10",
      hint = "labels counted from 0? add 1" },
    { call = function(m) m.cross_entropy(m.zeros { 128, 10 }, labels(m, 128, 3, 11)) end,
      message = "cross_entropy: target 3 of 128 is 11; classes run 1..10" },
    { call = function(m) m.cross_entropy(m.zeros { 128, 10 }, m.zeros { 128 }) end,
      message = "cross_entropy: targets are float32 {128}; expected int64 class numbers {128} or "
        .. "float probabilities {128, 10}" },
    { call = function(m) m.cross_entropy(m.zeros { 128, 10 }, labels(m, 64)) end,
      message = "cross_entropy: 128 rows of scores but 64 targets" },
    { call = function(m)
        m.cross_entropy(m.zeros { 0, 10 }, m.zeros({ 0 }, { dtype = "int64" }))
      end,
      message = "cross_entropy: mean over 0 targets is undefined", hint = 'reduction = "sum"' },
    { call = function(m) m.cross_entropy(m.zeros { 10 }, labels(m, 1)) end,
      message = "cross_entropy: scores have 1 dimension {10}; expected {batch, classes}",
      hint = "x:unsqueeze(1)" },
    { call = function(m) m.cross_entropy(m.zeros { 2, 10 }, labels(m, 2), m.zeros { 9 }) end,
      message = "cross_entropy: weight is {9}; expected {10}, one per class" },
    { call = function(m)
        m.cross_entropy(m.zeros { 2, 10 }, m.zeros({ 2, 10 }, { dtype = "float64" }))
      end,
      message = "cross_entropy: dtypes float32 and float64", hint = 'target:to("float32")' },
    { call = function(m) m.cross_entropy(m.zeros { 2, 3 }, m.zeros { 2, 3 }, { ignore_index = 3 }) end,
      message = "cross_entropy: ignore_index is 3; needs class numbers as targets" },
    { call = function(m) m.cross_entropy(m.zeros { 2, 3 }, labels(m, 2), { label_smoothing = 1.5 }) end,
      message = "cross_entropy: label_smoothing is 1.5; must be in [0, 1]" },
    { call = function(m)
        m.cross_entropy(m.zeros({ 2, 3 }, { requires_grad = true }), labels(m, 2),
          m.ones({ 3 }, { requires_grad = true }))
      end,
      message = "cross_entropy: class weights have no gradient", hint = "weight:detach()" },
  },
  tolerance = { float32 = 2e-6 },
}
