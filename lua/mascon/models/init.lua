--- mascon.models: known networks by name, with torchvision's names, state-dict keys and defaults.
-- models.resnet50{weights = "IMAGENET1K_V2"}; models.list(); models.weights.resnet50.IMAGENET1K_V2.

local initialise = require "mascon.nn.initialise"
local options = require "mascon.options"
local weights = require "mascon.models.weights"

---@class mascon.models
local models = { weights = weights.known }

-- Networks by name: {make = fn(options), spec = options, head = name of the last layer's weight}.
local known = {}

do
  local resnet = require "mascon.models.resnet"
  for name, row in pairs(resnet.known) do
    local block, layers, fixed = unpack(row)
    known[name] = { spec = resnet.spec, head = "fc.weight", fixed = fixed or {}, make = function(o)
      return resnet.ResNet(block, layers, o)
    end }
  end
  models.ResNet, models.BasicBlock, models.Bottleneck = resnet.ResNet, resnet.BasicBlock,
    resnet.Bottleneck
  local alexnet = require "mascon.models.alexnet"
  known.alexnet = { spec = alexnet.spec, head = "classifier.6.weight", fixed = {},
    make = alexnet.AlexNet }
  models.AlexNet = alexnet.AlexNet
end

--- The names of all networks, sorted.
---@return string[]
function models.list()
  local names = {}
  for name in pairs(known) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

--- Refuses another number of classes than the weights have.
local function check_classes(name, head, sd, num_classes)
  local t = sd[head]
  local found = require("mascon.ffi").is_tensor(t) and t:dim() == 2 and t:size(1)
  if found and found ~= num_classes then
    -- without num_classes the network has ImageNet's 1000: then it is the file that decides
    local hint = ("num_classes = %d"):format(found)
    if found == 1000 then
      hint = ("without num_classes = %d, then model.%s = nn.Linear(%d, %d)"):format(num_classes,
        head:match "^(.*)%.weight$", t:size(2), num_classes)
    end
    options.fail(name, ("the weights are for %d classes, num_classes is %d"):format(found, num_classes), hint)
  end
end

--- Makes the network `name` and loads its weights.
local function build(name, ...)
  local family = known[name]
  local spec = { { "weights", nil, "string|table" } }
  for _, field in ipairs(family.spec) do
    if family.fixed[field[1]] == nil then
      spec[#spec + 1] = field
    end
  end
  local o = options.arguments(name, spec, ...)
  local entry, path
  if o.weights ~= nil then
    entry, path = weights.find(name, o.weights)
    path = path or weights.path_of(entry)
    entry = entry or weights.of_file(name, path)
  end
  o.weights = nil
  for key, v in pairs(family.fixed) do
    o[key] = v
  end
  local sd = path and require("mascon.io").load(path)
  if type(sd) == "table" then
    check_classes(name, family.head, sd, o.num_classes)
  end
  local model
  if path then
    model = initialise.skip(family.make, o)
    model:load_state_dict(sd)
  else
    model = family.make(o)
  end
  -- what the published weights of this network expect
  model.preprocess = (entry or weights.known[name].DEFAULT).transforms()
  return model
end

for name in pairs(known) do
  models[name] = function(...)
    return build(name, ...)
  end
end

return setmetatable(models, {
  __index = function(_, name)
    if type(name) ~= "string" or name:sub(1, 1) == "_" then
      return nil
    end
    local nearest = options.nearest(name, models.list())
    options.fail("models", ("there is no models.%s"):format(name),
      nearest and ("did you mean models.%s?"):format(nearest) or "models.list() names them all")
  end,
})
