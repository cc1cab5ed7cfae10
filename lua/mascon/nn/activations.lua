--- Activations as layers. One row each: its options, in PyTorch's order and with PyTorch's defaults.

local layers = require "mascon.nn.layers"
local module = require "mascon.nn.module"
local op = require "mascon.op"
local options = require "mascon.options"

local M = {}

local function show(v)
  return options.show(v)
end

--- Defines nn[class_name] over an op.
---@param class_name string
---@param op_name string
---@param spec table options as for options.arguments; `inplace` belongs to the layer, the others to the op
local function define(class_name, op_name, spec)
  local class = module.Module:extend(class_name)
  M[class_name] = class
  local names = {}
  for i, field in ipairs(spec) do
    names[i] = field[1]
  end

  function class:init(...)
    local o = options.arguments(class_name, spec, ...)
    for _, name in ipairs(names) do
      self[name] = o[name]
    end
  end

  local function op_options(self)
    local given = {}
    for _, name in ipairs(names) do
      if name ~= "inplace" then
        given[name] = self[name]
      end
    end
    return given
  end

  layers.from_options(class, names, function(self)
    return op_name, op_options(self)
  end)

  local forward_one = layers.forward_one
  function class:forward(x)
    if self.inplace then
      return op.find(op_name .. "_")(x, op_options(self))
    end
    return forward_one(self, x)
  end

  function class:extra_repr()
    local parts = {}
    for _, field in ipairs(spec) do
      local v = self[field[1]]
      if field[1] ~= "inplace" or v then
        parts[#parts + 1] = field[1] .. "=" .. show(v)
      end
    end
    return table.concat(parts, ", ")
  end
end

local inplace = { "inplace", false, "boolean" }

define("ReLU", "relu", { inplace })
define("ReLU6", "relu6", { inplace })
define("LeakyReLU", "leaky_relu", { { "negative_slope", 0.01, "number" }, inplace })
define("ELU", "elu", { { "alpha", 1, "number" }, inplace })
define("SiLU", "silu", { inplace })
define("Hardswish", "hardswish", { inplace })
define("Hardsigmoid", "hardsigmoid", { inplace })
define("GELU", "gelu", { { "approximate", "none", "string", choices = { "none", "tanh" } } })
define("Sigmoid", "sigmoid", {})
define("Tanh", "tanh", {})
define("Softplus", "softplus", { { "beta", 1, "number" }, { "threshold", 20, "number" } })
define("Softmax", "softmax", { { "dim", options.required, "integer" } })
define("LogSoftmax", "log_softmax", { { "dim", options.required, "integer" } })

return M
