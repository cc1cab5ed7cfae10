--- mascon.metrics: figures about classifications. The definitions are scikit-learn's; 0/0 counts as 0.
-- Classes count from 1, as labels do. Everything is computed from a tally: for each class that occurs how
-- often it was predicted, how often it was true and how often both.

local create = require "mascon.create"
local layer = require "mascon.ffi"
local options = require "mascon.options"
local text = require "mascon.text"

local is_tensor = layer.is_tensor
local M = {}

local MAX_CLASSES = 2 ^ 20

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

--- Raises unless v is the number of a class.
local function check_class(prefix, what, i, v, n)
  if type(v) ~= "number" or v ~= math.floor(v) or v < 1 or v > n then
    options.fail(prefix, ("%s %d of the batch is %s; classes run 1..%d"):format(what, i,
      options.show(v), n), v == 0 and "labels counted from 0? add 1" or nil)
  end
end

--- Both lists, checked: predictions and labels are numbers of classes 1..n.
local function pairs_of(prefix, predicted, labels, n)
  local p, y = both(prefix, predicted, labels)
  for i = 1, #y do
    check_class(prefix, "prediction", i, p[i], n)
    check_class(prefix, "label", i, y[i], n)
  end
  return p, y
end

local function ratio(a, b)
  return b ~= 0 and a / b or 0
end

-- Tallies -------------------------------------------------------------------------------------------

local function new_tally()
  return { right = {}, predicted = {}, actual = {}, hits = 0, all = 0 }
end

local function add(tally, predicted, actual, count)
  tally.predicted[predicted] = (tally.predicted[predicted] or 0) + count
  tally.actual[actual] = (tally.actual[actual] or 0) + count
  if predicted == actual then
    tally.right[actual] = (tally.right[actual] or 0) + count
    tally.hits = tally.hits + count
  end
  tally.all = tally.all + count
end

local function tally_of(p, y)
  local tally = new_tally()
  for i = 1, #y do
    add(tally, p[i], y[i], 1)
  end
  return tally
end

--- The classes that occur, in order.
local function classes_of(tally)
  local list = {}
  for c in pairs(tally.actual) do
    list[#list + 1] = c
  end
  for c in pairs(tally.predicted) do
    if not tally.actual[c] then
      list[#list + 1] = c
    end
  end
  table.sort(list)
  return list
end

local averages = { "macro", "micro", "weighted", "none" }

local scores = {
  precision = function(right, predicted) return ratio(right, predicted) end,
  recall = function(right, _, actual) return ratio(right, actual) end,
  f1 = function(right, predicted, actual) return ratio(2 * right, predicted + actual) end,
}

local function score_of(tally, name, c)
  return scores[name](tally.right[c] or 0, tally.predicted[c] or 0, tally.actual[c] or 0)
end

--- The average of a score over the classes that occur; "none" gives the list of classes 1..n.
local function average(tally, name, kind, n)
  if kind == "micro" then
    return scores[name](tally.hits, tally.all, tally.all)
  elseif kind == "none" then
    local list = {}
    for c = 1, n do
      list[c] = score_of(tally, name, c)
    end
    return list
  end
  local sum, weight = 0, 0
  for _, c in ipairs(classes_of(tally)) do
    local w = kind == "weighted" and (tally.actual[c] or 0) or 1
    sum, weight = sum + w * score_of(tally, name, c), weight + w
  end
  return ratio(sum, weight)
end

-- Report --------------------------------------------------------------------------------------------

--- The names of classes: by class number, or one for each class that occurs.
local function names_of(prefix, classes, given)
  local names = {}
  local largest = classes[#classes] or 0
  if given and #given < largest and #given ~= #classes then
    options.fail(prefix, ("target_names has %d names; the classes go up to %d"):format(#given, largest),
      "one name for each class, as in dataset.classes")
  end
  for i, c in ipairs(classes) do
    local name = given and given[#given >= largest and c or i]
    if given and type(name) ~= "string" then
      options.fail(prefix, ("name %d of target_names is %s; expected a string"):format(
        #given >= largest and c or i, options.show(name)))
    end
    names[i] = name or ("%d"):format(c)
  end
  return names
end

--- scikit-learn's layout: a row for each class that occurs, then the accuracy and the averages.
local function report(prefix, tally, given)
  local o = options.read(prefix, given, {
    { "target_names", nil, "table" }, { "digits", 2, "integer", min = 0, max = 15 },
  })
  local classes = classes_of(tally)
  local names = names_of(prefix, classes, o.target_names)
  local width = math.max(#"weighted avg", o.digits)
  for _, name in ipairs(names) do
    width = math.max(width, text.width(name))
  end
  local lines = {}
  local function line(name, ...)
    lines[#lines + 1] = text.pad(name, -width) .. " " .. table.concat({ ... })
  end
  local function cell(v)
    return (" %9s"):format(type(v) == "number" and ("%." .. o.digits .. "f"):format(v) or v)
  end
  local function count(v)
    return (" %9d"):format(v)
  end
  local order = { "precision", "recall", "f1" }
  line("", cell "precision", cell "recall", cell "f1-score", cell "support")
  lines[#lines + 1] = ""
  for i, c in ipairs(classes) do
    line(names[i], cell(score_of(tally, order[1], c)), cell(score_of(tally, order[2], c)),
      cell(score_of(tally, order[3], c)), count(tally.actual[c] or 0))
  end
  lines[#lines + 1] = ""
  line("accuracy", cell "", cell "", cell(ratio(tally.hits, tally.all)), count(tally.all))
  for _, kind in ipairs { "macro", "weighted" } do
    line(kind .. " avg", cell(average(tally, order[1], kind)), cell(average(tally, order[2], kind)),
      cell(average(tally, order[3], kind)), count(tally.all))
  end
  return table.concat(lines, "\n") .. "\n"
end

-- Confusion matrix ----------------------------------------------------------------------------------

---@class mascon.metrics.ConfusionMatrix
---@field n integer number of classes
local ConfusionMatrix = {}
ConfusionMatrix.__index = ConfusionMatrix

--- Counts how often each class was taken for each other.
---@param n integer number of classes
function M.ConfusionMatrix(n)
  options.check("ConfusionMatrix", { "number of classes", nil, "integer", min = 1, cap = MAX_CLASSES }, n)
  return setmetatable({ n = n, counts = {} }, ConfusionMatrix)
end

--- Forgets all counts.
function ConfusionMatrix:reset()
  self.counts = {}
  return self
end

--- Adds a batch.
---@param predicted mascon.Tensor|integer[] class numbers, or scores {n, classes}
---@param labels mascon.Tensor|integer[]
function ConfusionMatrix:update(predicted, labels)
  local counts, n = self.counts, self.n
  local p, y = pairs_of("ConfusionMatrix", predicted, labels, n)
  for i = 1, #y do
    local cell = (y[i] - 1) * n + p[i] -- only what occurs takes room
    counts[cell] = (counts[cell] or 0) + 1
  end
  return self
end

local function matrix_tally(self)
  local tally = new_tally()
  for cell, count in pairs(self.counts) do
    add(tally, (cell - 1) % self.n + 1, math.floor((cell - 1) / self.n) + 1, count)
  end
  return tally
end

--- The share of right predictions.
---@return number
function ConfusionMatrix:accuracy()
  local tally = matrix_tally(self)
  return ratio(tally.hits, tally.all)
end

local function matrix_average(self, name, kind)
  kind = kind or "macro"
  options.check(name, { "average", nil, "string", choices = averages }, kind)
  return average(matrix_tally(self), name, kind, self.n)
end

--- The share of a class's predictions that are right. average: "macro" (mean of the classes that occur),
--- "micro", "weighted" (by their size) or "none" (a list by class).
---@param kind? string
function ConfusionMatrix:precision(kind)
  return matrix_average(self, "precision", kind)
end

--- The share of a class's members that were found.
---@param kind? string
function ConfusionMatrix:recall(kind)
  return matrix_average(self, "recall", kind)
end

--- The harmonic mean of precision and recall.
---@param kind? string
function ConfusionMatrix:f1(kind)
  return matrix_average(self, "f1", kind)
end

--- The matrix {true class, predicted class}: counts (int64), or shares (float32) of each true class
--- ("true"), of each predicted class ("pred") or of everything ("all").
---@param given? table normalize
---@return mascon.Tensor
function ConfusionMatrix:values(given)
  local o = options.read("values", given, {
    { "normalize", nil, "string", choices = { "true", "pred", "all" } },
  })
  local n, tally = self.n, matrix_tally(self)
  local values = create.zeros({ n, n }, { dtype = o.normalize and "float32" or "int64" })
  local data = values:data_ptr()
  for cell, count in pairs(self.counts) do
    local i, j = math.floor((cell - 1) / n) + 1, (cell - 1) % n + 1
    local by = o.normalize == "true" and tally.actual[i] or o.normalize == "pred" and tally.predicted[j]
      or o.normalize == "all" and tally.all or 1
    data[cell - 1] = count / by
  end
  return values
end

--- Precision, recall and F1 of each class that occurs, as scikit-learn prints them.
---@param given? table target_names (by class), digits = 2
---@return string
function ConfusionMatrix:classification_report(given)
  return report("classification_report", matrix_tally(self), given)
end

function ConfusionMatrix:__tostring()
  return self:classification_report()
end

-- Functions -----------------------------------------------------------------------------------------

--- The share of predictions (class numbers, or scores {n, classes}) that equal the labels.
---@return number
function M.accuracy(predicted, labels)
  local tally = tally_of(pairs_of("accuracy", predicted, labels, MAX_CLASSES))
  return ratio(tally.hits, tally.all)
end

for name in pairs(scores) do
  local prefix = name .. "_score"
  --- precision_score, recall_score, f1_score (predicted, labels, {average = "macro"})
  M[prefix] = function(predicted, labels, given)
    local o = options.read(prefix, given, { { "average", "macro", "string", choices = averages } })
    local tally = tally_of(pairs_of(prefix, predicted, labels, MAX_CLASSES))
    local classes = classes_of(tally)
    return average(tally, name, o.average, classes[#classes] or 0)
  end
end

--- Precision, recall and F1 of each class that occurs, as scikit-learn prints them.
---@param predicted mascon.Tensor|integer[] class numbers, or scores {n, classes}
---@param labels mascon.Tensor|integer[]
---@param given? table target_names (by class), digits = 2
---@return string
function M.classification_report(predicted, labels, given)
  return report("classification_report",
    tally_of(pairs_of("classification_report", predicted, labels, MAX_CLASSES)), given)
end

return options.name_nearest("metrics", M)
