--- Residual networks: ResNet, ResNeXt and wide ResNet, with the names, state-dict keys and first values
-- of torchvision's.

local containers = require "mascon.nn.containers"
local fusion = require "mascon.nn.fusion"
local nn = require "mascon.nn"
local options = require "mascon.options"

local M = {}

local function conv3x3(channels_in, channels, stride, groups, dilation)
  return nn.Conv2d(channels_in, channels, 3, { stride = stride, padding = dilation, groups = groups,
    bias = false, dilation = dilation })
end

local function conv1x1(channels_in, channels, stride)
  return nn.Conv2d(channels_in, channels, 1, { stride = stride, bias = false })
end

-- Blocks ----------------------------------------------------------------------------------------------

--- What a block adds to its result: its input, through `downsample` where the size changes.
local function shortcut(self, x)
  return self.downsample and self.downsample(x) or x
end

local step = containers.step

--- A convolution, its batch norm and relu; in one call where fusion can.
---@param ours boolean whether x was made by the block, so that it can be released
---@return mascon.Tensor y
---@return boolean ours whether y was made here and nothing else knows it
local function conv_norm_relu(x, ours, conv, norm, relu)
  local y = fusion.is_conv_norm(conv, norm, relu) and fusion.conv_norm(x, conv, norm, true)
  if y then
    if ours then
      x:release()
    end
    return y, true
  end
  y, ours = step(conv, x, ours)
  y, ours = step(norm, y, ours)
  return step(relu, y, ours)
end

--- a + b, in a's memory where that is ours and no graph needs it.
local function add(a, ours, b)
  if ours and not a.requires_grad and not b.requires_grad then
    return a:add_(b)
  end
  return a + b
end

--- The end of a block: convolution, batch norm, the shortcut of the block's input x, relu.
local function conv_norm_add_relu(self, y, ours, conv, norm, x)
  local relu, added = self.relu, nil
  if fusion.is_conv_norm(conv, norm, relu) then
    added = shortcut(self, x)
    local result = fusion.conv_norm(y, conv, norm, true, added)
    if result then
      if ours then
        y:release()
      end
      return result
    end
  end
  y, ours = step(conv, y, ours)
  y, ours = step(norm, y, ours)
  return relu(add(y, ours, added or shortcut(self, x)))
end

--- Two convolutions of 3 x 3.
---@class mascon.models.BasicBlock: mascon.nn.Module
local BasicBlock = nn.Module:extend "BasicBlock"
BasicBlock.expansion = 1
BasicBlock.keeps_nothing = "children"

---@param o table of the network: groups, base_width, norm_layer
function BasicBlock:init(channels_in, channels, stride, downsample, dilation, o)
  if o.groups ~= 1 or o.width_per_group ~= 64 then
    options.fail("BasicBlock", ("groups is %d and width_per_group is %d; blocks of two convolutions "
      .. "have 1 and 64"):format(o.groups, o.width_per_group))
  elseif dilation > 1 then
    options.fail("BasicBlock", "replace_stride_with_dilation needs the blocks of three convolutions "
      .. "of resnet50 and larger networks")
  end
  self.conv1 = conv3x3(channels_in, channels, stride, 1, 1)
  self.bn1 = o.norm_layer(channels)
  self.relu = nn.ReLU { inplace = true }
  self.conv2 = conv3x3(channels, channels, 1, 1, 1)
  self.bn2 = o.norm_layer(channels)
  self.downsample = downsample
end

function BasicBlock:forward(x)
  local y, ours = conv_norm_relu(x, false, self.conv1, self.bn1, self.relu)
  return conv_norm_add_relu(self, y, ours, self.conv2, self.bn2, x)
end

--- A convolution of 3 x 3 between two of one pixel. The middle one has the stride.
---@class mascon.models.Bottleneck: mascon.nn.Module
local Bottleneck = nn.Module:extend "Bottleneck"
Bottleneck.expansion = 4
Bottleneck.keeps_nothing = "children"

---@param o table of the network: groups, base_width, norm_layer
function Bottleneck:init(channels_in, channels, stride, downsample, dilation, o)
  local width = math.floor(channels * (o.width_per_group / 64)) * o.groups
  self.conv1 = conv1x1(channels_in, width, 1)
  self.bn1 = o.norm_layer(width)
  self.conv2 = conv3x3(width, width, stride, o.groups, dilation)
  self.bn2 = o.norm_layer(width)
  self.conv3 = conv1x1(width, channels * 4, 1)
  self.bn3 = o.norm_layer(channels * 4)
  self.relu = nn.ReLU { inplace = true }
  self.downsample = downsample
end

function Bottleneck:forward(x)
  local y, ours = conv_norm_relu(x, false, self.conv1, self.bn1, self.relu)
  y, ours = conv_norm_relu(y, ours, self.conv2, self.bn2, self.relu)
  return conv_norm_add_relu(self, y, ours, self.conv3, self.bn3, x)
end

-- The network -----------------------------------------------------------------------------------------

---@class mascon.models.ResNet: mascon.nn.Module
local ResNet = nn.Module:extend "ResNet"

--- The options of every network of this file.
M.spec = {
  { "num_classes", 1000, "integer", min = 1 }, { "zero_init_residual", false, "boolean" },
  { "groups", 1, "integer", min = 1 }, { "width_per_group", 64, "integer", min = 1 },
  { "replace_stride_with_dilation", nil, "table" }, { "norm_layer", nil, "function" },
}

local function dilations(given)
  given = given or { false, false, false }
  for i = 1, 3 do
    if #given ~= 3 or type(given[i]) ~= "boolean" then
      options.fail("ResNet", "replace_stride_with_dilation takes three of true and false, for layer2 to "
        .. "layer4")
    end
  end
  return given
end

--- Fills the new network as torchvision does: He's numbers for convolutions, 1 and 0 for the rest.
local function reset(self, zero_init_residual)
  for _, m in ipairs(self:modules()) do
    if m.class_name == "Conv2d" then
      nn.init.kaiming_normal_(m.weight, { mode = "fan_out", nonlinearity = "relu" })
    elseif zero_init_residual and m.class_name == "Bottleneck" then
      nn.init.zeros_(m.bn3.weight)
    elseif zero_init_residual and m.class_name == "BasicBlock" then
      nn.init.zeros_(m.bn2.weight)
    end
  end
end

--- ResNet(block, {blocks of each layer}, {num_classes = 1000, zero_init_residual = false, groups = 1,
--- width_per_group = 64, replace_stride_with_dilation = {false, false, false}, norm_layer =
--- nn.BatchNorm2d})
---@param block table BasicBlock or Bottleneck
---@param layers integer[]
---@param given? table
function ResNet:init(block, layers, given)
  local o = options.read("ResNet", given, M.spec)
  o.norm_layer = o.norm_layer or nn.BatchNorm2d
  local replaced = dilations(o.replace_stride_with_dilation)
  local channels_now, dilation = 64, 1
  self.conv1 = nn.Conv2d(3, 64, 7, { stride = 2, padding = 3, bias = false })
  self.bn1 = o.norm_layer(64)
  self.relu = nn.ReLU { inplace = true }
  self.maxpool = nn.MaxPool2d(3, { stride = 2, padding = 1 })

  local function layer(channels, blocks, stride, dilate)
    local before = dilation
    if dilate then
      dilation, stride = dilation * stride, 1
    end
    local downsample
    if stride ~= 1 or channels_now ~= channels * block.expansion then
      downsample = nn.Sequential(conv1x1(channels_now, channels * block.expansion, stride),
        o.norm_layer(channels * block.expansion))
    end
    local list = { block(channels_now, channels, stride, downsample, before, o) }
    channels_now = channels * block.expansion
    for i = 2, blocks do
      list[i] = block(channels_now, channels, 1, nil, dilation, o)
    end
    return nn.Sequential(list)
  end

  self.layer1 = layer(64, layers[1], 1, false)
  self.layer2 = layer(128, layers[2], 2, replaced[1])
  self.layer3 = layer(256, layers[3], 2, replaced[2])
  self.layer4 = layer(512, layers[4], 2, replaced[3])
  self.avgpool = nn.AdaptiveAvgPool2d(1)
  self.fc = nn.Linear(512 * block.expansion, o.num_classes)
  reset(self, o.zero_init_residual)
end

---@param x mascon.Tensor {batch, 3, height, width}
---@return mascon.Tensor {batch, num_classes}
function ResNet:forward(x)
  local ours
  x, ours = conv_norm_relu(x, false, self.conv1, self.bn1, self.relu)
  x, ours = step(self.maxpool, x, ours)
  x, ours = step(self.layer1, x, ours)
  x, ours = step(self.layer2, x, ours)
  x, ours = step(self.layer3, x, ours)
  x, ours = step(self.layer4, x, ours)
  x = step(self.avgpool, x, ours)
  return self.fc(x:flatten(2))
end

M.ResNet, M.BasicBlock, M.Bottleneck = ResNet, BasicBlock, Bottleneck

-- The known ones --------------------------------------------------------------------------------------

--- Each with its block, its layers, and what it fixes of the options.
M.known = {
  resnet18 = { BasicBlock, { 2, 2, 2, 2 } },
  resnet34 = { BasicBlock, { 3, 4, 6, 3 } },
  resnet50 = { Bottleneck, { 3, 4, 6, 3 } },
  resnet101 = { Bottleneck, { 3, 4, 23, 3 } },
  resnet152 = { Bottleneck, { 3, 8, 36, 3 } },
  resnext50_32x4d = { Bottleneck, { 3, 4, 6, 3 }, { groups = 32, width_per_group = 4 } },
  resnext101_32x8d = { Bottleneck, { 3, 4, 23, 3 }, { groups = 32, width_per_group = 8 } },
  resnext101_64x4d = { Bottleneck, { 3, 4, 23, 3 }, { groups = 64, width_per_group = 4 } },
  wide_resnet50_2 = { Bottleneck, { 3, 4, 6, 3 }, { width_per_group = 128 } },
  wide_resnet101_2 = { Bottleneck, { 3, 4, 23, 3 }, { width_per_group = 128 } },
}

return M
