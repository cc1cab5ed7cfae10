--- mascon.metrics: figures about classifications. The definitions are scikit-learn's; 0/0 counts as 0.
-- Classes count from 1, as labels do.

local create = require "mascon.create"
local layer = require "mascon.ffi"
local options = require "mascon.options"

local is_tensor = layer.is_tensor
local M = {}

-- Reading labels ------------------------------------------------------------------------------------

--- Class numbers as a list, from a tensor {n}, scores {n, classes} (where allowed) or a Lua list.
local function labels_of(prefix, what, v, scores_allowed)
  if is_tensor(v) then
    if scores_allowed and v:dim() == 2 then
      v = v:argmax(2)
    elseif v:dim() ~= 1 then
      options.fail(prefix, ("%s is {%s}; expected {n}%s"):format(what, table.concat(v.shape, ", "),
        scores_allowed and " or scores {n, classes}" or ""))
    end
    return v:totable()
  elseif type(v) ~= "table" then
    options.fail(prefix, ("%s is %s; expected a tensor or a list of class numbers"):format(what,
      options.show(v)))
  end
  return v
end

local function both(prefix, predicted, labels)
  local p, y = labels_of(prefix, "argument 1", predicted, true), labels_of(prefix, "argument 2", labels)
  if #p ~= #y then
    options.fail(prefix, ("%d predictions but %d labels"):format(#p, #y))
  end
  return p, y
end

local function ratio(a, b)
  return b ~= 0 and a / b or 0
end

-- Confusion matrix ----------------------------------------------------------------------------------

---@class mascon.metrics.ConfusionMatrix
local ConfusionMatrix = {}
ConfusionMatrix.__index = ConfusionMatrix

--- Counts how often each class was taken for each other.
---@param n integer number of classes
function M.ConfusionMatrix(n)
  options.check("ConfusionMatrix", { "number of classes", nil, "integer", min = 1 }, n)
  local self = setmetatable({ n = n }, ConfusionMatrix)
  self:reset()
  return self
end

--- Forgets all counts.
function ConfusionMatrix:reset()
  self.counts = {}
  for i = 1, self.n do
    self.counts[i] = {}
    for j = 1, self.n do
      self.counts[i][j] = 0
    end
  end
  return self
end

local function check_class(self, what, i, v)
  if type(v) ~= "number" or v ~= math.floor(v) or v < 1 or v > self.n then
    options.fail("ConfusionMatrix", ("%s %d of the batch is %s; classes run 1..%d"):format(what, i,
      options.show(v), self.n), v == 0 and "labels counted from 0? add 1" or nil)
  end
end

--- Adds a batch.
---@param predicted mascon.Tensor|integer[] class numbers, or scores {n, classes}
---@param labels mascon.Tensor|integer[]
function ConfusionMatrix:update(predicted, labels)
  local p, y = both("ConfusionMatrix", predicted, labels)
  for i = 1, #y do
    check_class(self, "prediction", i, p[i])
    check_class(self, "label", i, y[i])
  end
  for i = 1, #y do
    local row = self.counts[y[i]]
    row[p[i]] = row[p[i]] + 1
  end
  return self
end

--- Per class: right ones, predicted ones, true ones; and the sums of the first and last.
local function totals(self)
  local right, predicted, actual, hits, all = {}, {}, {}, 0, 0
  for c = 1, self.n do
    right[c], predicted[c], actual[c] = self.counts[c][c], 0, 0
    for other = 1, self.n do
      actual[c] = actual[c] + self.counts[c][other]
      predicted[c] = predicted[c] + self.counts[other][c]
    end
    hits, all = hits + right[c], all + actual[c]
  end
  return right, predicted, actual, hits, all
end

--- The share of right predictions.
---@return number
function ConfusionMatrix:accuracy()
  local _, _, _, hits, all = totals(self)
  return ratio(hits, all)
end

local averages = { "macro", "micro", "weighted", "none" }

--- Averages score(right, predicted, actual) over the classes that occur.
local function average(self, name, kind, score)
  kind = kind or "macro"
  options.check(name, { "average", nil, "string", choices = averages }, kind)
  local right, predicted, actual, hits, all = totals(self)
  if kind == "micro" then
    return score(hits, all, all)
  end
  local list, sum, weight = {}, 0, 0
  for c = 1, self.n do
    list[c] = score(right[c], predicted[c], actual[c])
    if predicted[c] + actual[c] > 0 then
      local w = kind == "weighted" and actual[c] or 1
      sum, weight = sum + w * list[c], weight + w
    end
  end
  if kind == "none" then
    return list
  end
  return ratio(sum, weight)
end

local scores = {
  precision = function(right, predicted) return ratio(right, predicted) end,
  recall = function(right, _, actual) return ratio(right, actual) end,
  f1 = function(right, predicted, actual) return ratio(2 * right, predicted + actual) end,
}

--- The share of a class's predictions that are right. average: "macro" (mean of the classes that occur),
--- "micro", "weighted" (by their size) or "none" (a list).
---@param kind? string
function ConfusionMatrix:precision(kind)
  return average(self, "precision", kind, scores.precision)
end

--- The share of a class's members that were found.
---@param kind? string
function ConfusionMatrix:recall(kind)
  return average(self, "recall", kind, scores.recall)
end

--- The harmonic mean of precision and recall.
---@param kind? string
function ConfusionMatrix:f1(kind)
  return average(self, "f1", kind, scores.f1)
end

--- The matrix {true class, predicted class}: counts (int64), or shares (float32) of each true class
--- ("true"), of each predicted class ("pred") or of everything ("all").
---@param given? table normalize
---@return mascon.Tensor
function ConfusionMatrix:values(given)
  local o = options.read("values", given, {
    { "normalize", nil, "string", choices = { "true", "pred", "all" } },
  })
  if not o.normalize then
    return create.tensor(self.counts, { dtype = "int64" })
  end
  local _, predicted, actual, _, all = totals(self)
  local rows = {}
  for i = 1, self.n do
    rows[i] = {}
    for j = 1, self.n do
      local by = o.normalize == "true" and actual[i] or o.normalize == "pred" and predicted[j] or all
      rows[i][j] = ratio(self.counts[i][j], by)
    end
  end
  return create.tensor(rows)
end

-- Functions -----------------------------------------------------------------------------------------

--- The share of predictions (class numbers, or scores {n, classes}) that equal the labels.
---@return number
function M.accuracy(predicted, labels)
  local p, y = both("accuracy", predicted, labels)
  local hits = 0
  for i = 1, #y do
    hits = hits + (p[i] == y[i] and 1 or 0)
  end
  return ratio(hits, #y)
end

local function matrix_of(prefix, predicted, labels)
  local p, y = both(prefix, predicted, labels)
  local n = 1
  for i = 1, #y do
    n = math.max(n, p[i], y[i])
  end
  return M.ConfusionMatrix(n):update(p, y)
end

for name in pairs(scores) do
  --- precision_score, recall_score, f1_score (predicted, labels, {average = "macro"})
  M[name .. "_score"] = function(predicted, labels, given)
    local o = options.read(name .. "_score", given, {
      { "average", "macro", "string", choices = averages },
    })
    local matrix = matrix_of(name .. "_score", predicted, labels)
    return matrix[name](matrix, o.average)
  end
end

return M
