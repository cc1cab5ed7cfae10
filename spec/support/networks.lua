--- The networks that specs train.

local m = require "mascon"
local nn = m.nn

local N = {}

local SimpleCNN = nn.Module:extend "SimpleCNN"

function SimpleCNN:init(input_shape, hidden_units, output_shape, size)
  self.conv_block_1 = nn.Sequential(
    nn.Conv2d(input_shape, hidden_units, { kernel_size = 3, padding = 1 }), nn.ReLU(),
    nn.Conv2d(hidden_units, hidden_units, { kernel_size = 3, padding = 1 }), nn.ReLU(),
    nn.MaxPool2d(2))
  local half = (size or 32) / 2
  self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(hidden_units * half * half, output_shape))
end

function SimpleCNN:forward(x)
  return self.classifier(self.conv_block_1(x))
end

N.SimpleCNN = SimpleCNN

--- Convolutions that different kernels serve: name, input channels, height and width, the layer.
N.convolutions = {
  { "few channels", 3, 16, 16, function() return nn.Conv2d(3, 10, 3, { padding = 1 }) end },
  { "Winograd", 20, 9, 11, function() return nn.Conv2d(20, 24, 3, { padding = 1 }) end },
  { "Winograd by positions", 96, 8, 8, function() return nn.Conv2d(96, 96, 3, { padding = 1 }) end },
  { "depthwise", 24, 9, 9, function() return nn.Conv2d(24, 24, 3, { padding = 1, groups = 24 }) end },
  { "a step", 16, 17, 15, function() return nn.Conv2d(16, 32, 3, { stride = 2, padding = 1 }) end },
  { "1x1 without bias", 16, 40, 40, function() return nn.Conv2d(16, 160, 1, { bias = false }) end },
  { "groups", 16, 9, 9, function() return nn.Conv2d(16, 32, 3, { groups = 4 }) end },
}

--- These and more.
function N.convolutions_and(more)
  local list = { unpack(N.convolutions) }
  for _, row in ipairs(more) do
    list[#list + 1] = row
  end
  return list
end

--- A batch of pictures in channels-last memory, as the loader makes them, with labels.
function N.batch(n, size)
  local x = require "mascon.create".new_nhwc("batch", { n, 3, size or 32, size or 32 })
  x:uniform_()
  return x, m.randint(1, 10, { n })
end

--- One training step; returns the loss tensor.
function N.step(model, optimizer, loss_fn, x, y)
  local loss = loss_fn(model(x), y)
  optimizer:zero_grad()
  loss:backward()
  optimizer:step()
  return loss
end

return N
