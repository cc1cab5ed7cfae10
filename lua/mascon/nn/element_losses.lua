--- More losses as modules: NLLLoss, MSELoss, L1Loss, BCEWithLogitsLoss.

local layer = require "mascon.ffi"
local layers = require "mascon.nn.layers"
local module = require "mascon.nn.module"
local options = require "mascon.options"

local M = {}

local reduction = { "reduction", "mean", "string", choices = { "mean", "sum", "none" } }

--- Defines nn[class_name] over an op of scores, targets and optional weights.
---@param weights string[] names of the weights, in the op's order
---@param fields table[] other options, `reduction` among them, as for options.arguments
local function define(class_name, op_name, weights, fields)
  local class = module.Module:extend(class_name)
  M[class_name] = class
  local spec, names = {}, {}
  for i, name in ipairs(weights) do
    spec[i] = { name, nil, "any" }
  end
  for i, field in ipairs(fields) do
    spec[#weights + i], names[i] = field, field[1]
  end

  function class:init(...)
    local o = options.arguments(class_name, spec, ...)
    for _, name in ipairs(weights) do
      local w = o[name]
      if w ~= nil and not layer.is_tensor(w) then
        options.fail(class_name, ("%s is %s; expected a tensor"):format(name, options.show(w)))
      elseif w ~= nil then
        self:register_buffer(name, w)
      end
    end
    for _, name in ipairs(names) do
      self[name] = o[name]
    end
  end

  layers.from_options(class, names, function(self)
    local given = {}
    for _, name in ipairs(names) do
      given[name] = self[name]
    end
    return op_name, given
  end)

  ---@param scores mascon.Tensor
  ---@param target mascon.Tensor
  ---@return mascon.Tensor
  function class:forward(scores, target)
    local run = self.run or self:call()
    if #weights == 0 then
      return run(scores, target)
    end
    return run(scores, target, self[weights[1]], weights[2] and self[weights[2]])
  end
end

--- nn.NLLLoss{weight =, ignore_index = -100, reduction = "mean"}: log-probabilities against classes.
define("NLLLoss", "nll_loss", { "weight" }, { { "ignore_index", -100, "integer" }, reduction })
--- nn.MSELoss{reduction = "mean"}
define("MSELoss", "mse_loss", {}, { reduction })
--- nn.L1Loss{reduction = "mean"}
define("L1Loss", "l1_loss", {}, { reduction })
--- nn.BCEWithLogitsLoss{weight =, pos_weight =, reduction = "mean"}
define("BCEWithLogitsLoss", "binary_cross_entropy_with_logits", { "weight", "pos_weight" },
  { reduction })

return M
