--- mascon.nn: modules, layers, losses, first values, functions.

local options = require "mascon.options"
local module = require "mascon.nn.module"

---@class mascon.nn
local nn = {
  Module = module.Module,
  Parameter = module.Parameter,
  is_module = module.is_module,
  init = require "mascon.nn.initialise",
  functional = require "mascon.nn.functional",
  utils = require "mascon.nn.utils",
}

for _, part in ipairs { "containers", "layers", "activations", "losses", "normalisation",
  "pictures", "embedding", "attention", "element_losses" } do
  for name, class in pairs(require("mascon.nn." .. part)) do
    if type(class) == "table" then -- the classes; helpers are functions
      nn[name] = class
    end
  end
end

require "mascon.nn.fusion_norm" -- its patterns; nn offers nothing of it

return options.name_nearest("nn", nn)
