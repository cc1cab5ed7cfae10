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
  "pictures", "embedding", "element_losses" } do
  for name, class in pairs(require("mascon.nn." .. part)) do
    if type(class) == "table" then -- the classes; helpers are functions
      nn[name] = class
    end
  end
end

require "mascon.nn.fusion_norm" -- its patterns; nn offers nothing of it

setmetatable(nn, {
  __index = function(_, name)
    if type(name) ~= "string" or name:sub(1, 1) == "_" then
      return nil
    end
    local names = {}
    for known in pairs(nn) do
      names[#names + 1] = known
    end
    local nearest = options.nearest(name, names)
    options.fail("nn", ("there is no nn.%s"):format(name),
      nearest and ("did you mean nn.%s?"):format(nearest) or nil)
  end,
})

return nn
