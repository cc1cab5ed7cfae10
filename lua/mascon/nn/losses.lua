--- Losses as modules.

local layer = require "mascon.ffi"
local layers = require "mascon.nn.layers"
local module = require "mascon.nn.module"
local options = require "mascon.options"

local M = {}

---@class mascon.nn.CrossEntropyLoss: mascon.nn.Module
local CrossEntropyLoss = module.Module:extend "CrossEntropyLoss"
M.CrossEntropyLoss = CrossEntropyLoss

--- nn.CrossEntropyLoss{weight =, ignore_index = -100, reduction = "mean", label_smoothing = 0}: scores
--- {batch, classes} against class numbers (from 1) or probabilities.
function CrossEntropyLoss:init(...)
  local o = options.arguments("CrossEntropyLoss", {
    { "weight", nil, "any" }, { "ignore_index", -100, "integer" },
    { "reduction", "mean", "string", choices = { "mean", "sum", "none" } },
    { "label_smoothing", 0, "number", min = 0, max = 1 },
  }, ...)
  if o.weight ~= nil then
    if not layer.is_tensor(o.weight) then
      options.fail("CrossEntropyLoss", ("weight is %s; expected a tensor with one value per class")
        :format(options.show(o.weight)))
    end
    self:register_buffer("weight", o.weight)
  else
    self.weight = nil
  end
  self.ignore_index, self.reduction = o.ignore_index, o.reduction
  self.label_smoothing = o.label_smoothing
end

layers.from_options(CrossEntropyLoss, { "ignore_index", "reduction", "label_smoothing" },
  function(self)
    return "cross_entropy", { ignore_index = self.ignore_index, reduction = self.reduction,
      label_smoothing = self.label_smoothing }
  end)

---@param scores mascon.Tensor {batch, classes, …}
---@param target mascon.Tensor int64 class numbers {batch, …}, or probabilities like scores
---@return mascon.Tensor
function CrossEntropyLoss:forward(scores, target)
  local run = self.run or self:call()
  return run(scores, target, self.weight)
end

return M
