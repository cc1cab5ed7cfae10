--- AlexNet, with torchvision's names, state-dict keys and first values.

local nn = require "mascon.nn"
local options = require "mascon.options"

local M = {}

---@class mascon.models.AlexNet: mascon.nn.Module
local AlexNet = nn.Module:extend "AlexNet"

M.spec = {
  { "num_classes", 1000, "integer", min = 1 }, { "dropout", 0.5, "number", min = 0, max = 1 },
}

--- AlexNet{num_classes = 1000, dropout = 0.5}
function AlexNet:init(given)
  local o = options.read("AlexNet", given, M.spec)
  local function relu()
    return nn.ReLU { inplace = true }
  end
  self.features = nn.Sequential(
    nn.Conv2d(3, 64, 11, { stride = 4, padding = 2 }), relu(),
    nn.MaxPool2d(3, { stride = 2 }),
    nn.Conv2d(64, 192, 5, { padding = 2 }), relu(),
    nn.MaxPool2d(3, { stride = 2 }),
    nn.Conv2d(192, 384, 3, { padding = 1 }), relu(),
    nn.Conv2d(384, 256, 3, { padding = 1 }), relu(),
    nn.Conv2d(256, 256, 3, { padding = 1 }), relu(),
    nn.MaxPool2d(3, { stride = 2 }))
  self.avgpool = nn.AdaptiveAvgPool2d { 6, 6 }
  self.classifier = nn.Sequential(
    nn.Dropout(o.dropout), nn.Linear(256 * 6 * 6, 4096), relu(),
    nn.Dropout(o.dropout), nn.Linear(4096, 4096), relu(),
    nn.Linear(4096, o.num_classes))
end

---@param x mascon.Tensor {batch, 3, height, width}
---@return mascon.Tensor {batch, num_classes}
function AlexNet:forward(x)
  return self.classifier(self.avgpool(self.features(x)):flatten(2))
end

M.AlexNet = AlexNet
return M
