--- Layers for pictures and sequences: Conv1d, ConvTranspose2d, Upsample, Dropout2d.

local composed = require "mascon.nn.composed"
local create = require "mascon.create"
local layers = require "mascon.nn.layers"
local module = require "mascon.nn.module"
local op = require "mascon.op"
local options = require "mascon.options"

local Module = module.Module
local pair, text = layers.pair, layers.text
local M = {}

local function check_groups(name, o)
  for _, what in ipairs { "in", "out" } do
    local channels = o[what .. "_channels"]
    if channels % o.groups ~= 0 then
      options.fail(name, ("%d %sput channels are not divisible by groups = %d"):format(channels,
        what, o.groups))
    end
  end
end

-- Conv1d ------------------------------------------------------------------------------------------------

---@class mascon.nn.Conv1d: mascon.nn.Module
local Conv1d = Module:extend "Conv1d"
M.Conv1d = Conv1d

local conv1d_spec = layers.factory {
  { "in_channels", options.required, "integer", min = 1 },
  { "out_channels", options.required, "integer", min = 1 },
  { "kernel_size", options.required, "integer", min = 1 },
  { "stride", 1, "integer", min = 1 }, { "padding", 0, "integer|string" },
  { "dilation", 1, "integer", min = 1 }, { "groups", 1, "integer", min = 1 },
  { "bias", true, "boolean" },
  { "padding_mode", "zeros", "string", choices = { "zeros", "reflect", "replicate", "circular" } },
}

--- Elements to add before and behind a sequence for a layer's padding.
local function ends(self)
  if self.padding == "same" then
    local total = self.dilation * (self.kernel_size - 1)
    return { math.floor(total / 2), math.ceil(total / 2) }
  end
  local n = self.padding == "valid" and 0 or self.padding
  return { n, n }
end

--- The forward of layers whose border repeats the sequence: it is added first.
local function forward_padded(self, x)
  local padded = x
  if x:dim() == 3 then -- else the convolution says what is wrong
    padded = op.find "pad"(x, { pad = ends(self), mode = self.padding_mode })
  end
  local run = layers.prepare("conv2d", composed.conv1d_options { stride = self.stride, padding = 0,
    dilation = self.dilation, groups = self.groups })
  return composed.conv1d_with(run, padded, self.weight, self.bias)
end

--- nn.Conv1d(in_channels, out_channels, kernel_size, {stride = 1, padding = 0 | "same" | "valid",
--- dilation = 1, groups = 1, bias = true, padding_mode = "zeros" | "reflect" | "replicate" | "circular"}):
--- over {batch, channels, length}.
function Conv1d:init(...)
  local o = options.arguments("Conv1d", conv1d_spec, ...)
  check_groups("conv1d", o)
  for _, name in ipairs { "in_channels", "out_channels", "kernel_size", "stride", "padding",
    "dilation", "groups", "padding_mode" } do
    self[name] = o[name]
  end
  if o.padding_mode ~= "zeros" then
    self.forward = forward_padded
  end
  composed.conv1d_options(o)
  local shape = { o.out_channels, o.in_channels / o.groups, o.kernel_size }
  layers.with_parameters(self, create.new("Conv1d", shape, o.dtype, "cpu"), o.bias and o.out_channels,
    o)
end

layers.from_options(Conv1d, { "stride", "padding", "dilation", "groups" }, function(self)
  return "conv2d", composed.conv1d_options(self)
end)

---@param x mascon.Tensor {batch, in_channels, length}
---@return mascon.Tensor
function Conv1d:forward(x)
  return composed.conv1d_with(self.run or self:call(), x, self.weight, self.bias)
end

function Conv1d:extra_repr()
  local parts = { self.in_channels, self.out_channels, "kernel_size=" .. self.kernel_size,
    "stride=" .. self.stride }
  for _, field in ipairs { { "padding", 0 }, { "dilation", 1 }, { "groups", 1 },
    { "padding_mode", "zeros" } } do
    if self[field[1]] ~= field[2] then
      parts[#parts + 1] = field[1] .. "=" .. text(self[field[1]])
    end
  end
  return table.concat(parts, ", ") .. (self.bias and "" or ", bias=false")
end

-- ConvTranspose2d ---------------------------------------------------------------------------------------

---@class mascon.nn.ConvTranspose2d: mascon.nn.Module
local ConvTranspose2d = Module:extend "ConvTranspose2d"
M.ConvTranspose2d = ConvTranspose2d

local transpose_spec = layers.factory {
  { "in_channels", options.required, "integer", min = 1 },
  { "out_channels", options.required, "integer", min = 1 },
  { "kernel_size", options.required, "number|table" }, { "stride", 1, "number|table" },
  { "padding", 0, "number|table" }, { "output_padding", 0, "number|table" },
  { "groups", 1, "integer", min = 1 }, { "bias", true, "boolean" },
  { "dilation", 1, "number|table" },
}

--- nn.ConvTranspose2d(in_channels, out_channels, kernel_size, {stride = 1, padding = 0, output_padding
--- = 0, groups = 1, bias = true, dilation = 1})
function ConvTranspose2d:init(...)
  local o = options.arguments("ConvTranspose2d", transpose_spec, ...)
  check_groups("conv_transpose2d", o)
  self.in_channels, self.out_channels, self.groups = o.in_channels, o.out_channels, o.groups
  for name, low in pairs { kernel_size = 1, stride = 1, dilation = 1, padding = 0, output_padding = 0 } do
    self[name] = pair("conv_transpose2d", name, o[name], low)
  end
  local shape = { o.in_channels, o.out_channels / o.groups, self.kernel_size[1], self.kernel_size[2] }
  layers.with_parameters(self, create.new_nhwc("ConvTranspose2d", shape, o.dtype, "cpu"),
    o.bias and o.out_channels, o)
end

layers.from_options(ConvTranspose2d, { "stride", "padding", "output_padding", "dilation", "groups" },
  function(self)
    return "conv_transpose2d", { stride = self.stride, padding = self.padding,
      output_padding = self.output_padding, dilation = self.dilation, groups = self.groups }
  end)

---@param x mascon.Tensor {batch, in_channels, height, width}
---@return mascon.Tensor
function ConvTranspose2d:forward(x)
  local run = self.run or self:call()
  return run(x, self.weight, self.bias)
end

function ConvTranspose2d:extra_repr()
  local parts = { self.in_channels, self.out_channels, "kernel_size=" .. text(self.kernel_size),
    "stride=" .. text(self.stride) }
  for _, field in ipairs { { "padding", "{0, 0}" }, { "output_padding", "{0, 0}" },
    { "dilation", "{1, 1}" }, { "groups", "1" } } do
    if text(self[field[1]]) ~= field[2] then
      parts[#parts + 1] = field[1] .. "=" .. text(self[field[1]])
    end
  end
  return table.concat(parts, ", ") .. (self.bias and "" or ", bias=false")
end

-- Upsample ----------------------------------------------------------------------------------------------

---@class mascon.nn.Upsample: mascon.nn.Module
local Upsample = Module:extend "Upsample"
M.Upsample = Upsample

--- nn.Upsample{size = {h, w} | scale_factor = 2, mode = "nearest", align_corners = false}
function Upsample:init(...)
  local o = options.arguments("Upsample", {
    { "size", nil, "number|table" }, { "scale_factor", nil, "number|table" },
    { "mode", "nearest", "string", choices = { "nearest", "nearest-exact", "bilinear", "bicubic" } },
    { "align_corners", nil, "boolean" },
  }, ...)
  if (o.size == nil) == (o.scale_factor == nil) then
    options.fail("Upsample", o.size == nil and "size or scale_factor is missing"
      or "size and scale_factor are both given; one is enough")
  end
  self.size = o.size ~= nil and pair("Upsample", "size", o.size, 1) or nil
  self.scale_factor, self.mode, self.align_corners = o.scale_factor, o.mode, o.align_corners
end

layers.from_options(Upsample, { "size", "scale_factor", "mode", "align_corners" }, function(self)
  return "interpolate", composed.interpolate_options { size = self.size,
    scale_factor = self.scale_factor, mode = self.mode, align_corners = self.align_corners }
end)

Upsample.forward = layers.forward_one

function Upsample:extra_repr()
  local what = self.size and "size" or "scale_factor"
  return ('%s=%s, mode="%s"'):format(what, text(self[what]), self.mode)
end

-- Dropout2d ---------------------------------------------------------------------------------------------

---@class mascon.nn.Dropout2d: mascon.nn.Module
local Dropout2d = Module:extend "Dropout2d"
M.Dropout2d = Dropout2d

--- nn.Dropout2d(p = 0.5, {inplace = false}): in training zeroes whole channels with probability p and
--- scales the others by 1 / (1 - p); in evaluation returns its input.
function Dropout2d:init(...)
  local o = options.arguments("Dropout2d", {
    { "p", 0.5, "number", min = 0, max = 1 }, { "inplace", false, "boolean" },
  }, ...)
  self.p, self.inplace = o.p, o.inplace
end

layers.from_options(Dropout2d, { "p" }, function(self)
  return "dropout2d", { p = self.p, training = true }
end)

function Dropout2d:forward(x)
  if not self.training then
    return x
  elseif self.inplace then
    return op.find "dropout2d_"(x, { p = self.p, training = true })
  end
  return layers.forward_one(self, x)
end

function Dropout2d:extra_repr()
  return ("p=%s, inplace=%s"):format(text(self.p), text(self.inplace))
end

return M
