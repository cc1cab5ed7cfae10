--- Normalising layers: BatchNorm1d, BatchNorm2d, LayerNorm, GroupNorm.

local create = require "mascon.create"
local layers = require "mascon.nn.layers"
local module = require "mascon.nn.module"
local op = require "mascon.op"
local options = require "mascon.options"

local Module, Parameter = module.Module, module.Parameter
local M = {}

--- Weight 1 and bias 0 of this shape.
local function affine_parameters(self, shape, o, with_bias)
  self.weight = Parameter(create.full(shape, 1, { dtype = o.dtype, device = o.device }))
  if with_bias then
    self.bias = Parameter(create.zeros(shape, { dtype = o.dtype, device = o.device }))
  end
end

local function shape_text(t)
  return "{" .. table.concat(t.shape, ", ") .. "}"
end

-- Batch norm --------------------------------------------------------------------------------------------

local batch_spec = {
  { "num_features", options.required, "integer", min = 0 }, { "eps", 1e-5, "number", min = 0 },
  { "momentum", 0.1, "number|boolean", min = 0, max = 1 }, { "affine", true, "boolean" },
  { "track_running_stats", true, "boolean" }, { "device", "cpu", "string" },
  { "dtype", "float32", "string" },
}

--- A class of batch norm for inputs of low to high dimensions, called `layout` in errors.
local function batch_norm_class(name, low, high, layout)
  local class = Module:extend(name)
  M[name] = class
  class.prepared = { eps = true, momentum = true }
  class.keeps_nothing = true

  --- nn.BatchNorm2d(num_features, {eps = 1e-5, momentum = 0.1, affine = true, track_running_stats =
  --- true}); momentum = false averages all batches equally (PyTorch's None).
  function class:init(...)
    local o = options.arguments(name, batch_spec, ...)
    if o.momentum == true then
      options.fail(name, "momentum is true; expected a number, or false for an average of all batches")
    end
    self.num_features, self.eps, self.momentum = o.num_features, o.eps, o.momentum
    self.affine, self.track_running_stats = o.affine, o.track_running_stats
    local given = { dtype = o.dtype, device = o.device }
    if o.affine then
      affine_parameters(self, { o.num_features }, o, true)
    end
    if o.track_running_stats then
      self:register_buffer("running_mean", create.zeros({ o.num_features }, given))
      self:register_buffer("running_var", create.full({ o.num_features }, 1, given))
      self:register_buffer("num_batches_tracked",
        create.zeros({}, { dtype = "int64", device = o.device }))
    end
  end

  --- The prepared calls of training and evaluation.
  function class:calls()
    local run = self.run
    if run then
      return run
    end
    run = {}
    for _, training in ipairs { true, false } do
      run[training] = layers.prepare("batch_norm", { training = training, eps = self.eps,
        momentum = self.momentum or 0 })
    end
    self.run = run
    return run
  end

  local function check(self, x)
    local n = x:dim()
    if n < low or n > high then
      options.fail("batch_norm", ("input has %d dimension%s %s; expected %s"):format(n,
        n == 1 and "" or "s", shape_text(x), layout), n == low - 1 and "x:unsqueeze(1)" or nil)
    end
    local channels = x:size(2)
    if channels ~= self.num_features then
      options.fail("batch_norm", ("input has %d channel%s, the layer takes %d"):format(channels,
        channels == 1 and "" or "s", self.num_features))
    end
  end

  ---@param x mascon.Tensor {batch, num_features, …}
  ---@return mascon.Tensor
  function class:forward(x)
    check(self, x)
    local run = self.run or self:calls()
    local mean, var = self.running_mean, self.running_var
    if mean and (not self.training or self.frozen) then
      return run[false](x, mean, var, self.weight, self.bias)
    end
    local momentum = self.momentum
    if not mean or momentum then
      local y = run[true](x, mean, var, self.weight, self.bias)
      if mean then
        self.num_batches_tracked:add_(1)
      end
      return y
    end
    local batches = self.num_batches_tracked:item() + 1
    local y = op.find "batch_norm"(x, mean, var, self.weight, self.bias,
      { training = true, momentum = 1 / batches, eps = self.eps })
    self.num_batches_tracked:add_(1)
    return y
  end

  function class:extra_repr()
    return ("%d, eps=%g, momentum=%s, affine=%s, track_running_stats=%s"):format(self.num_features,
      self.eps, options.show(self.momentum), tostring(self.affine),
      tostring(self.track_running_stats))
  end
end

batch_norm_class("BatchNorm1d", 2, 3, "{batch, channels} or {batch, channels, length}")
batch_norm_class("BatchNorm2d", 4, 4, "4 {batch, channels, height, width}")

-- Layer norm --------------------------------------------------------------------------------------------

---@class mascon.nn.LayerNorm: mascon.nn.Module
local LayerNorm = Module:extend "LayerNorm"
M.LayerNorm = LayerNorm

local layer_spec = {
  { "normalized_shape", options.required, "number|table" }, { "eps", 1e-5, "number", min = 0 },
  { "elementwise_affine", true, "boolean" }, { "bias", true, "boolean" },
  { "device", "cpu", "string" }, { "dtype", "float32", "string" },
}

--- The array part of a first table names the sizes, its string keys are options.
local function with_sizes(first, given, ...)
  if type(first) ~= "table" or first[1] == nil then
    return first, given, ...
  end
  local named = { normalized_shape = { unpack(first) } }
  for _, t in ipairs { first, type(given) == "table" and given or {} } do
    for key, v in pairs(t) do
      if type(key) == "string" then
        named[key] = v
      end
    end
  end
  return named
end

--- nn.LayerNorm(64) or nn.LayerNorm({h, w}, {eps = 1e-5, elementwise_affine = true, bias = true}):
--- normalises over the last dimensions.
function LayerNorm:init(...)
  local o = options.arguments("LayerNorm", layer_spec, with_sizes(...))
  local shape = o.normalized_shape
  self.normalized_shape = options.sizes("LayerNorm", "normalized_shape",
    type(shape) == "number" and { shape } or shape)
  self.eps, self.elementwise_affine = o.eps, o.elementwise_affine
  if o.elementwise_affine then
    affine_parameters(self, self.normalized_shape, o, o.bias)
  end
end

layers.from_options(LayerNorm, { "normalized_shape", "eps" }, function(self)
  return "layer_norm", { sizes = self.normalized_shape, eps = self.eps }
end)

function LayerNorm:forward(x)
  local run = self.run or self:call()
  return run(x, self.weight, self.bias)
end

function LayerNorm:extra_repr()
  return ("{%s}, eps=%g, elementwise_affine=%s"):format(table.concat(self.normalized_shape, ", "),
    self.eps, tostring(self.elementwise_affine))
end

-- Group norm --------------------------------------------------------------------------------------------

---@class mascon.nn.GroupNorm: mascon.nn.Module
local GroupNorm = Module:extend "GroupNorm"
M.GroupNorm = GroupNorm

--- nn.GroupNorm(num_groups, num_channels, {eps = 1e-5, affine = true})
function GroupNorm:init(...)
  local o = options.arguments("GroupNorm", {
    { "num_groups", options.required, "integer", min = 1 },
    { "num_channels", options.required, "integer", min = 1 }, { "eps", 1e-5, "number", min = 0 },
    { "affine", true, "boolean" }, { "device", "cpu", "string" }, { "dtype", "float32", "string" },
  }, ...)
  if o.num_channels % o.num_groups ~= 0 then
    options.fail("group_norm", ("%d channels are not divisible by groups = %d"):format(
      o.num_channels, o.num_groups))
  end
  self.num_groups, self.num_channels = o.num_groups, o.num_channels
  self.eps, self.affine = o.eps, o.affine
  if o.affine then
    affine_parameters(self, { o.num_channels }, o, true)
  end
end

layers.from_options(GroupNorm, { "num_groups", "eps" }, function(self)
  return "group_norm", { groups = self.num_groups, eps = self.eps }
end)

function GroupNorm:forward(x)
  local run = self.run or self:call()
  return run(x, self.weight, self.bias)
end

function GroupNorm:extra_repr()
  return ("%d, %d, eps=%g, affine=%s"):format(self.num_groups, self.num_channels, self.eps,
    tostring(self.affine))
end

return M
