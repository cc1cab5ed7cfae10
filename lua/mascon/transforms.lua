--- mascon.transforms: what happens to a picture between its data set and the network.
-- A transform is anything that can be called with a picture and returns one. Those of this file but
-- Lambda are stages of the C library: a DataLoader runs them in its worker threads, fused into one
-- pass. Called directly they take a picture {C, H, W} or a batch {N, C, H, W}.

local layer = require "mascon.ffi"
local options = require "mascon.options"

local C = layer.C
local M = {}

-- Stages of the C library --------------------------------------------------------------------------

local Stage = {}
Stage.__index = Stage

--- A C pipeline of these stages; stages is a list of Stage objects.
---@param stages table
---@return any mascon_pipeline *, released by the collector
function M.pipeline(stages)
  local box = layer.new "mascon_pipeline *[1]"
  layer.check(C.mascon_pipeline_new(box), "Compose")
  local pipeline = layer.gc(box[0], C.mascon_pipeline_release)
  for _, stage in ipairs(stages) do
    local n = #stage.values
    local values = layer.new("double[?]", math.max(n, 1), stage.values)
    layer.check(C.mascon_pipeline_add(pipeline, stage.stage, values, n), stage.class_name)
  end
  return pipeline
end

--- Puts a picture or a batch through a C pipeline.
---@param pipeline any
---@param x mascon.Tensor
---@param name string prefix of errors
function M.apply(pipeline, x, name)
  if not layer.is_tensor(x) then
    options.fail(name, ("picture is %s; expected a tensor {channels, height, width}")
      :format(options.show(x)))
  end
  local box = layer.tensor_box
  layer.check(C.mascon_pipeline_apply(pipeline, x.h, box), name)
  return layer.wrap(box[0])
end

function Stage:__call(x)
  self.pipeline = self.pipeline or M.pipeline { self }
  return M.apply(self.pipeline, x, self.class_name)
end

local function text_of(v)
  if type(v) == "table" then
    local parts = {}
    for i, item in ipairs(v) do
      parts[i] = text_of(item)
    end
    return "{" .. table.concat(parts, ", ") .. "}"
  end
  return type(v) == "number" and ("%.6g"):format(v) or tostring(v)
end

function Stage:__tostring()
  return ("%s(%s)"):format(self.class_name, self.shown)
end

local function new_stage(class_name, stage, values, shown)
  return setmetatable({ class_name = class_name, stage = stage, values = values, shown = shown },
    Stage)
end

--- uint8 0..255 becomes float32 0..1; a float32 picture stays as it is.
function M.ToTensor(...)
  options.arguments("ToTensor", {}, ...)
  return new_stage("ToTensor", "to_tensor", {}, "")
end

local function channel_values(name, v)
  if type(v) == "number" then
    return { v }
  end
  for i, x in ipairs(v) do
    if type(x) ~= "number" then
      options.fail("Normalize", ("%s has a %s for channel %d; expected a number")
        :format(name, type(x), i))
    end
  end
  if #v == 0 then
    options.fail("Normalize", name .. " has no values; expected one for each channel")
  end
  return v
end

--- (x - mean) / std for each channel; a single number stands for all channels.
---@param ... number[]|number mean, std
function M.Normalize(...)
  local o = options.arguments("Normalize", {
    { "mean", options.required, "number|table" }, { "std", options.required, "number|table" },
  }, ...)
  local mean, std = channel_values("mean", o.mean), channel_values("std", o.std)
  if #mean ~= #std then
    options.fail("Normalize", ("mean has %d values, std has %d"):format(#mean, #std))
  end
  local values = {}
  for i, v in ipairs(mean) do
    if std[i] == 0 or std[i] ~= std[i] then
      options.fail("Normalize", ("std of channel %d is %s; must not be 0")
        :format(i, options.show(std[i])))
    end
    values[i], values[#mean + i] = v, std[i]
  end
  return new_stage("Normalize", "normalize", values,
    ("mean = %s, std = %s"):format(text_of(mean), text_of(std)))
end

--- Converts between uint8 0..255 and float32 0..1.
---@param ... string dtype "float32" or "uint8"
function M.ConvertImageDtype(...)
  local o = options.arguments("ConvertImageDtype", {
    { "dtype", "float32", "string", choices = { "float32", "uint8" } },
  }, ...)
  return new_stage("ConvertImageDtype", "convert", { C.mascon_dtype_find(o.dtype) }, o.dtype)
end

-- Stages in Lua ---------------------------------------------------------------------------------------

local Lambda = {}
Lambda.__index = Lambda

function Lambda:__call(x)
  return self.fn(x)
end

function Lambda.__tostring()
  return "Lambda()"
end

--- Any function of a picture. It runs in the script's own thread, with every stage before it.
---@param ... function fn
function M.Lambda(...)
  local o = options.arguments("Lambda", { { "fn", options.required, "function" } }, ...)
  return setmetatable({ class_name = "Lambda", fn = o.fn }, Lambda)
end

-- Compose ---------------------------------------------------------------------------------------------

local Compose = {}
Compose.__index = Compose

function Compose:__call(x)
  for _, stage in ipairs(self.transforms) do
    x = stage(x)
  end
  return x
end

function Compose:__tostring()
  local parts = {}
  for i, stage in ipairs(self.transforms) do
    parts[i] = tostring(stage)
  end
  return "Compose(" .. table.concat(parts, ", ") .. ")"
end

local function is_callable(v)
  local mt = getmetatable(v)
  return type(v) == "function" or type(mt) == "table" and mt.__call ~= nil
end
M.is_callable = is_callable

--- One transform after the other.
---@param transforms table a list
function M.Compose(transforms)
  if type(transforms) ~= "table" or getmetatable(transforms) then
    options.fail("Compose", ("argument 1 is a %s; expected a list of transforms")
      :format(type(transforms)), "Compose{T.ToTensor()}")
  end
  for key, stage in pairs(transforms) do
    if type(key) ~= "number" then
      options.unknown("Compose", key, {})
    elseif not is_callable(stage) then
      options.fail("Compose", ("transform %d is a %s; expected something to call")
        :format(key, type(stage)))
    end
  end
  return setmetatable({ class_name = "Compose", transforms = transforms }, Compose)
end

local function flatten(transform, list)
  if getmetatable(transform) == Compose then
    for _, stage in ipairs(transform.transforms) do
      flatten(stage, list)
    end
  elseif transform ~= nil then
    list[#list + 1] = transform
  end
  return list
end

--- The stages up to the last one written in Lua, and those of the C library after it.
---@param transform any
---@return table, table
function M.split(transform)
  local all = flatten(transform, {})
  local last = #all
  while last > 0 and getmetatable(all[last]) == Stage do
    last = last - 1
  end
  local before, after = {}, {}
  for i, stage in ipairs(all) do
    local list = i <= last and before or after
    list[#list + 1] = stage
  end
  return before, after
end

return M
