--- Layers: convolution, linear, pooling, Flatten, Identity, Dropout.
-- A layer's options are checked and turned into a call once (op.prepare); forward only fills in tensors.
-- Setting an option field later prepares the call anew.

local create = require "mascon.create"
local initialise = require "mascon.nn.initialise"
local module = require "mascon.nn.module"
local op = require "mascon.op"
local options = require "mascon.options"

local Module, Parameter = module.Module, module.Parameter
local M = {}

-- Prepared calls ------------------------------------------------------------------------------------------

local prepared = {}

local function value_text(v)
  return type(v) == "table" and "{" .. table.concat(v, ",") .. "}" or tostring(v)
end

--- op.prepare, one function for all layers with equal options.
---@param name string op
---@param given table options
local function prepare(name, given)
  local keys, parts = {}, { name }
  for key in pairs(given) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for _, key in ipairs(keys) do
    parts[#parts + 1] = key .. "=" .. value_text(given[key])
  end
  local id = table.concat(parts, " ")
  local run = prepared[id]
  if not run then
    run = op.prepare(name, given)
    prepared[id] = run
  end
  return run
end
M.prepare = prepare

--- Declares that fields of a class are options of its call: `make(self)` gives the op and its options.
local function from_options(class, names, make)
  class.prepared = {}
  for _, name in ipairs(names) do
    class.prepared[name] = true
  end
  class.keeps_nothing = true
  function class.call(self)
    local run = prepare(make(self))
    self.run = run
    return run
  end
end
M.from_options = from_options

-- Arguments -----------------------------------------------------------------------------------------------

--- A number or {vertical, horizontal} as two whole numbers of at least `low`.
local function pair(prefix, name, v, low)
  local two = type(v) == "table" and { v[1], v[2] or v[1] } or { v, v }
  if type(v) == "table" and (#v < 1 or #v > 2) then
    options.fail(prefix, ("%s has %d values; expected a number or {vertical, horizontal}"):format(
      name, #v))
  end
  for i = 1, 2 do
    options.check(prefix, { name, nil, "integer", min = low }, two[i])
  end
  return two
end

local function padding_of(prefix, v)
  if type(v) == "string" then
    options.check(prefix, { "padding", nil, "string", choices = { "same", "valid" } }, v)
    return v
  end
  return pair(prefix, "padding", v, 0)
end

local function text(v)
  return type(v) == "table" and "{" .. table.concat(v, ", ") .. "}"
    or type(v) == "string" and '"' .. v .. '"' or options.show(v)
end

--- "name=value" for the fields that differ from their defaults.
local function repr(self, fields)
  local parts = {}
  for _, field in ipairs(fields) do
    local name, standard = field[1], field[2]
    local v = self[name]
    if text(v) ~= text(standard) then
      parts[#parts + 1] = ("%s=%s"):format(name, text(v))
    end
  end
  return parts
end

local function factory(spec)
  spec[#spec + 1] = { "device", "cpu", "string" }
  spec[#spec + 1] = { "dtype", "float32", "string" }
  return spec
end

--- Gives the layer its parameters with PyTorch's first values, drawn on the CPU.
local function with_parameters(self, weight, n_bias, o)
  local bias = n_bias and create.new(self.class_name, { n_bias }, o.dtype, "cpu") or nil
  initialise.reset_layer(weight, bias)
  self.weight = Parameter(weight)
  self.bias = bias and Parameter(bias) or nil
  if o.device ~= "cpu" then
    self:to(o.device)
  end
end

-- for the files of other layers
M.pair, M.text, M.factory, M.with_parameters = pair, text, factory, with_parameters

-- Conv2d ------------------------------------------------------------------------------------------------

---@class mascon.nn.Conv2d: mascon.nn.Module
local Conv2d = Module:extend "Conv2d"
M.Conv2d = Conv2d

local conv_spec = factory {
  { "in_channels", options.required, "integer", min = 1 },
  { "out_channels", options.required, "integer", min = 1 },
  { "kernel_size", options.required, "number|table" },
  { "stride", 1, "number|table" }, { "padding", 0, "number|table|string" },
  { "dilation", 1, "number|table" }, { "groups", 1, "integer" }, { "bias", true, "boolean" },
  { "padding_mode", "zeros", "string", choices = { "zeros", "reflect", "replicate", "circular" } },
}

--- Elements to add on each side of a picture for a layer's padding: {left, right, top, bottom}.
local function borders(self)
  local list = {}
  for i, d in ipairs { 2, 1 } do
    if self.padding == "same" then
      local total = self.dilation[d] * (self.kernel_size[d] - 1)
      list[2 * i - 1] = math.floor(total / 2)
      list[2 * i] = total - list[2 * i - 1]
    else
      list[2 * i - 1] = self.padding == "valid" and 0 or self.padding[d]
      list[2 * i] = list[2 * i - 1]
    end
  end
  return list
end

--- The forward of layers whose border repeats the picture: it is added first. Being an object's own, it
--- also keeps the layer out of fused calls, whose border is zeros.
local function forward_padded(self, x)
  local padded = op.find "pad"(x, { pad = borders(self), mode = self.padding_mode })
  return prepare("conv2d", { stride = self.stride, dilation = self.dilation, groups = self.groups })(
    padded, self.weight, self.bias)
end

--- nn.Conv2d(in_channels, out_channels, kernel_size, {stride = 1, padding = 0 | {1, 2} | "same" |
--- "valid", dilation = 1, groups = 1, bias = true, padding_mode = "zeros" | "reflect" | "replicate" |
--- "circular"})
function Conv2d:init(...)
  local o = options.arguments("Conv2d", conv_spec, ...)
  self.in_channels, self.out_channels = o.in_channels, o.out_channels
  -- what an op refuses is said in the op's name, here as in a call of F.conv2d
  self.kernel_size = pair("conv2d", "kernel_size", o.kernel_size, 1)
  self.stride = pair("conv2d", "stride", o.stride, 1)
  self.padding = padding_of("conv2d", o.padding)
  self.dilation = pair("conv2d", "dilation", o.dilation, 1)
  self.padding_mode = o.padding_mode
  if o.padding_mode ~= "zeros" then
    self.forward = forward_padded
  end
  options.check("conv2d", { "groups", nil, "integer", min = 1 }, o.groups)
  for _, what in ipairs { "in", "out" } do
    local channels = o[what .. "_channels"]
    if channels % o.groups ~= 0 then
      options.fail("conv2d", ("%d %sput channels are not divisible by groups = %d"):format(channels,
        what, o.groups))
    end
  end
  self.groups = o.groups
  local shape = { o.out_channels, o.in_channels / o.groups, self.kernel_size[1], self.kernel_size[2] }
  with_parameters(self, create.new_nhwc("Conv2d", shape, o.dtype, "cpu"), o.bias and o.out_channels, o)
end

from_options(Conv2d, { "stride", "padding", "dilation", "groups" }, function(self)
  return "conv2d", { stride = self.stride, padding = self.padding, dilation = self.dilation,
    groups = self.groups }
end)

---@param x mascon.Tensor {batch, in_channels, height, width}
---@return mascon.Tensor
function Conv2d:forward(x)
  local run = self.run or self:call()
  return run(x, self.weight, self.bias)
end

function Conv2d:extra_repr()
  local parts = { self.in_channels, self.out_channels, "kernel_size=" .. text(self.kernel_size),
    "stride=" .. text(self.stride) }
  for _, part in ipairs(repr(self, { { "padding", { 0, 0 } }, { "dilation", { 1, 1 } },
    { "groups", 1 } })) do
    parts[#parts + 1] = part
  end
  if not self.bias then
    parts[#parts + 1] = "bias=false"
  end
  if self.padding_mode ~= "zeros" then
    parts[#parts + 1] = "padding_mode=" .. self.padding_mode
  end
  return table.concat(parts, ", ")
end

-- Linear ------------------------------------------------------------------------------------------------

---@class mascon.nn.Linear: mascon.nn.Module
local Linear = Module:extend "Linear"
M.Linear = Linear

local linear_spec = factory {
  { "in_features", options.required, "integer", min = 0 },
  { "out_features", options.required, "integer", min = 0 }, { "bias", true, "boolean" },
}

--- nn.Linear(in_features, out_features, {bias = true}): y = x W^T + b over the last dimension.
function Linear:init(...)
  local o = options.arguments("Linear", linear_spec, ...)
  self.in_features, self.out_features = o.in_features, o.out_features
  with_parameters(self, create.new("Linear", { o.out_features, o.in_features }, o.dtype, "cpu"),
    o.bias and o.out_features, o)
end

from_options(Linear, {}, function()
  return "linear", {}
end)

function Linear:forward(x)
  local run = self.run or self:call()
  return run(x, self.weight, self.bias)
end

function Linear:extra_repr()
  return ("in_features=%d, out_features=%d, bias=%s"):format(self.in_features, self.out_features,
    tostring(self.bias ~= nil))
end

-- Pooling -----------------------------------------------------------------------------------------------

local function forward_one(self, x)
  local run = self.run or self:call()
  return run(x)
end
M.forward_one = forward_one

--- Fields kernel_size, stride (kernel_size where absent) and padding of a pooling layer.
local function read_window(self, name, o)
  self.kernel_size = pair(name, "kernel_size", o.kernel_size, 1)
  self.stride = o.stride ~= nil and pair(name, "stride", o.stride, 1) or self.kernel_size
  self.padding = pair(name, "padding", o.padding, 0)
end

---@class mascon.nn.MaxPool2d: mascon.nn.Module
local MaxPool2d = Module:extend "MaxPool2d"
M.MaxPool2d = MaxPool2d

--- nn.MaxPool2d(kernel_size, {stride = kernel_size, padding = 0, dilation = 1, ceil_mode = false})
function MaxPool2d:init(...)
  local o = options.arguments("MaxPool2d", {
    { "kernel_size", options.required, "number|table" }, { "stride", nil, "number|table" },
    { "padding", 0, "number|table" }, { "dilation", 1, "number|table" },
    { "ceil_mode", false, "boolean" },
  }, ...)
  read_window(self, "max_pool2d", o)
  self.dilation = pair("max_pool2d", "dilation", o.dilation, 1)
  self.ceil_mode = o.ceil_mode
end

from_options(MaxPool2d, { "kernel_size", "stride", "padding", "dilation", "ceil_mode" }, function(self)
  return "max_pool2d", { kernel_size = self.kernel_size, stride = self.stride, padding = self.padding,
    dilation = self.dilation, ceil_mode = self.ceil_mode }
end)

MaxPool2d.forward = forward_one

function MaxPool2d:extra_repr()
  return ("kernel_size=%s, stride=%s, padding=%s, dilation=%s, ceil_mode=%s"):format(
    text(self.kernel_size), text(self.stride), text(self.padding), text(self.dilation),
    text(self.ceil_mode))
end

---@class mascon.nn.AvgPool2d: mascon.nn.Module
local AvgPool2d = Module:extend "AvgPool2d"
M.AvgPool2d = AvgPool2d

--- nn.AvgPool2d(kernel_size, {stride = kernel_size, padding = 0, ceil_mode = false,
--- count_include_pad = true, divisor_override =})
function AvgPool2d:init(...)
  local o = options.arguments("AvgPool2d", {
    { "kernel_size", options.required, "number|table" }, { "stride", nil, "number|table" },
    { "padding", 0, "number|table" }, { "ceil_mode", false, "boolean" },
    { "count_include_pad", true, "boolean" }, { "divisor_override", nil, "integer" },
  }, ...)
  read_window(self, "avg_pool2d", o)
  self.ceil_mode, self.count_include_pad = o.ceil_mode, o.count_include_pad
  self.divisor_override = o.divisor_override
end

from_options(AvgPool2d, { "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad",
  "divisor_override" }, function(self)
  return "avg_pool2d", { kernel_size = self.kernel_size, stride = self.stride, padding = self.padding,
    ceil_mode = self.ceil_mode, count_include_pad = self.count_include_pad,
    divisor_override = self.divisor_override }
end)

AvgPool2d.forward = forward_one

function AvgPool2d:extra_repr()
  return ("kernel_size=%s, stride=%s, padding=%s"):format(text(self.kernel_size), text(self.stride),
    text(self.padding))
end

---@class mascon.nn.AdaptiveAvgPool2d: mascon.nn.Module
local AdaptiveAvgPool2d = Module:extend "AdaptiveAvgPool2d"
M.AdaptiveAvgPool2d = AdaptiveAvgPool2d

--- nn.AdaptiveAvgPool2d(1) or nn.AdaptiveAvgPool2d{h, w}: averages to a fixed size of picture.
function AdaptiveAvgPool2d:init(...)
  local first = ...
  local is_sizes = type(first) == "table" and type(first[1]) == "number"
  local o = is_sizes and options.read("AdaptiveAvgPool2d", first, {}) and { output_size = first }
    or options.arguments("AdaptiveAvgPool2d", { { "output_size", options.required, "number|table" } },
      ...)
  self.output_size = pair("adaptive_avg_pool2d", "output_size", o.output_size, 1)
end

from_options(AdaptiveAvgPool2d, { "output_size" }, function(self)
  return "adaptive_avg_pool2d", { output_size = self.output_size }
end)

AdaptiveAvgPool2d.forward = forward_one

function AdaptiveAvgPool2d:extra_repr()
  return "output_size=" .. text(self.output_size)
end

-- Shapes ------------------------------------------------------------------------------------------------

---@class mascon.nn.Flatten: mascon.nn.Module
local Flatten = Module:extend "Flatten"
M.Flatten = Flatten

--- nn.Flatten(start_dim = 2, end_dim = -1): joins dimensions; the batch stays.
function Flatten:init(...)
  local o = options.arguments("Flatten", { { "start_dim", 2, "integer" }, { "end_dim", -1, "integer" } },
    ...)
  self.start_dim, self.end_dim = o.start_dim, o.end_dim
end

from_options(Flatten, { "start_dim", "end_dim" }, function(self)
  return "flatten", { start_dim = self.start_dim, end_dim = self.end_dim }
end)

Flatten.forward = forward_one

function Flatten:extra_repr()
  return ("start_dim=%d, end_dim=%d"):format(self.start_dim, self.end_dim)
end

---@class mascon.nn.Identity: mascon.nn.Module
local Identity = Module:extend "Identity"
M.Identity = Identity
Identity.keeps_nothing = true

--- Returns its input. Takes and ignores any arguments, so that it can stand for any layer.
function Identity:init() end

function Identity:forward(x)
  return x
end

-- Dropout -----------------------------------------------------------------------------------------------

---@class mascon.nn.Dropout: mascon.nn.Module
local Dropout = Module:extend "Dropout"
M.Dropout = Dropout

--- nn.Dropout(p = 0.5, {inplace = false}): in training zeroes elements with probability p and scales the
--- others by 1 / (1 - p); in evaluation returns its input.
function Dropout:init(...)
  local o = options.arguments("Dropout", {
    { "p", 0.5, "number", min = 0, max = 1 }, { "inplace", false, "boolean" },
  }, ...)
  self.p, self.inplace = o.p, o.inplace
end

from_options(Dropout, { "p" }, function(self)
  return "dropout", { p = self.p, training = true }
end)

function Dropout:forward(x)
  if not self.training then
    return x
  elseif self.inplace then
    return op.find "dropout_"(x, { p = self.p, training = true })
  end
  return forward_one(self, x)
end

function Dropout:extra_repr()
  return ("p=%s, inplace=%s"):format(text(self.p), text(self.inplace))
end

return M
