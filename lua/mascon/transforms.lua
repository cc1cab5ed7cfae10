--- mascon.transforms: what happens to a picture between its data set and the network.
-- A transform is anything that can be called with a picture and returns one. Those of this file but
-- Lambda are stages of the C library: a DataLoader runs them in its worker threads, fused into one
-- pass. Called directly they take a picture {C, H, W} or a batch {N, C, H, W}. Names, defaults and
-- bytes are those of torchvision for pictures of Pillow.
--
-- Random transforms called directly draw from the script's generator. In a loader they depend on its
-- seed, the epoch, the sample and their place among the random transforms, and on nothing else.

local layer = require "mascon.ffi"
local options = require "mascon.options"
local random = require "mascon.random"

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

local draw_box = layer.new "mascon_draw[1]"
local row_box = layer.new "int64_t[1]"
local stream_box = layer.new "uint64_t[2]"

-- What the random transforms of the sample that a loader fetches draw from; nil outside of loaders.
local sample_draw

--- Calls fn(...) with random transforms that draw for one sample.
---@param draw table seed, epoch, row (from 0), stage (0)
---@return boolean, any as pcall
function M.with_draw(draw, fn, ...)
  local before = sample_draw
  sample_draw = draw
  local function finish(...)
    sample_draw = before
    return ...
  end
  return finish(pcall(fn, ...))
end

--- The numbers for n random stages called outside of a C loader.
local function next_draw(n)
  local draw = draw_box[0]
  draw.rows, draw.stage = nil, 0
  if n == 0 then
    return draw_box
  end
  if sample_draw then
    draw.seed, draw.epoch = sample_draw.seed, sample_draw.epoch
    row_box[0] = sample_draw.row
    draw.rows, draw.stage = row_box, sample_draw.stage
    sample_draw.stage = sample_draw.stage + n
  else
    C.mascon_generator_next(random.generator().h, stream_box)
    draw.seed, draw.epoch = stream_box[0], stream_box[1]
  end
  return draw_box
end

local batch_box = layer.new "mascon_draw[1]"
local batch_rows -- what batch_box points to

--- A draw for a batch whose samples have these numbers; good until the next one.
---@param seed any
---@param epoch integer
---@param indices integer[] from 1
---@param stage integer random stages that the samples passed before
function M.batch_draw(seed, epoch, indices, stage)
  batch_rows = layer.new("int64_t[?]", #indices)
  for k, i in ipairs(indices) do
    batch_rows[k - 1] = i - 1
  end
  local draw = batch_box[0]
  draw.seed, draw.epoch, draw.rows, draw.stage = seed, epoch, batch_rows, stage
  return batch_box
end

--- Puts a picture or a batch through a C pipeline.
---@param pipeline any
---@param x mascon.Tensor
---@param name string prefix of errors
---@param draw? any what batch_draw gave; else the script's generator or the loader's sample decides
function M.apply(pipeline, x, name, draw)
  if not layer.is_tensor(x) then
    options.fail(name, ("picture is %s; expected a tensor {channels, height, width}")
      :format(options.show(x)))
  end
  local box = layer.tensor_box
  draw = draw or next_draw(C.mascon_pipeline_random(pipeline))
  if draw == draw_box and x:dim() == 4 then
    draw_box[0].rows = nil -- a sample that is itself a batch
  end
  layer.check(C.mascon_pipeline_draw(pipeline, x.h, draw, box), name)
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

-- Geometry --------------------------------------------------------------------------------------------

local INTERPOLATIONS = { nearest = 0, bilinear = 1, bicubic = 2 }
local PADDING_MODES = { constant = 0, edge = 1, reflect = 2, symmetric = 3 }

local function is_whole(v, low)
  return type(v) == "number" and v == math.floor(v) and v >= low
end

--- As options.arguments, but f{3, 4} means that the first argument is the list {3, 4}.
local function list_arguments(name, spec, ...)
  local first = ...
  if select("#", ...) == 1 and type(first) == "table" and type(first[1]) == "number" then
    for key in pairs(first) do
      if type(key) ~= "number" then
        return options.arguments(name, spec, first)
      end
    end
    return options.arguments(name, spec, first, {})
  end
  return options.arguments(name, spec, ...)
end

--- {height, width} of a number or a pair.
local function size_pair(prefix, size)
  if type(size) == "number" then
    size = { size, size }
  elseif #size == 1 then
    size = { size[1], size[1] }
  end
  if #size ~= 2 or not (is_whole(size[1], 1) and is_whole(size[2], 1)) then
    options.fail(prefix, ("size is %s; expected a whole number from 1, or {height, width}")
      :format(text_of(size)))
  end
  return size[1], size[2]
end

--- {low, high} of a pair.
local function range_pair(prefix, name, v)
  if type(v) ~= "table" or #v ~= 2 or type(v[1]) ~= "number" or type(v[2]) ~= "number"
    or v[1] > v[2] then
    options.fail(prefix, ("%s is %s; expected {smallest, largest}"):format(name, text_of(v)))
  end
  return v[1], v[2]
end

--- left, top, right, bottom of a number, {sides, top and bottom} or all four.
local function padding_values(prefix, v)
  local p = type(v) == "number" and { v, v, v, v } or #v == 2 and { v[1], v[2], v[1], v[2] } or v
  for i = 1, 4 do
    if #p ~= 4 or not is_whole(p[i], 0) then
      options.fail(prefix, ("padding is %s; expected a whole number, {sides, top and bottom} or "
        .. "{left, top, right, bottom}"):format(text_of(v)))
    end
  end
  return p[1], p[2], p[3], p[4]
end

--- Appends a colour to the values of a stage: one number or one for each channel.
local function with_fill(prefix, values, fill, name, low, high)
  local list = type(fill) == "number" and { fill } or fill
  for _, v in ipairs(list) do
    if type(v) ~= "number" or v ~= v or low and (v < low or v > high) then
      options.fail(prefix, ("%s is %s; expected a number%s, or one for each channel"):format(
        name or "fill", text_of(fill), low and (" in [%d, %d]"):format(low, high) or ""))
    end
    values[#values + 1] = v
  end
  return values
end

local function choices(names)
  local list = {}
  for name, i in pairs(names) do
    list[i + 1] = name
  end
  return list
end

local interpolation = { "interpolation", "bilinear", "string", choices = choices(INTERPOLATIONS) }
local antialias = { "antialias", true, "boolean" }
local padding_mode = { "padding_mode", "constant", "string", choices = choices(PADDING_MODES) }
local fill = { "fill", 0, "number|table" }

--- Gives pictures another size: {height, width}, or a number for the shorter side. Without antialias
--- the filter does not widen when a picture shrinks.
---@param ... any size, interpolation = "bilinear" ("nearest", "bicubic"), max_size of the longer side,
---  antialias = true
function M.Resize(...)
  local o = list_arguments("Resize", {
    { "size", options.required, "number|table" }, interpolation,
    { "max_size", nil, "integer", min = 1 }, antialias,
  }, ...)
  local h, w = size_pair("Resize", o.size)
  if type(o.size) == "number" or #o.size == 1 then
    w = -1 -- h is for the shorter side
  elseif o.max_size then
    options.fail("Resize", "max_size is for a size of one number, the shorter side")
  end
  return new_stage("Resize", "resize", { h, w, INTERPOLATIONS[o.interpolation],
    o.antialias and 1 or 0, o.max_size or 0 },
    ("%s, interpolation = %s"):format(text_of(o.size), o.interpolation))
end

--- The middle of a picture; what is too small is padded with black.
---@param ... any size
function M.CenterCrop(...)
  local o = list_arguments("CenterCrop", { { "size", options.required, "number|table" } }, ...)
  local h, w = size_pair("CenterCrop", o.size)
  return new_stage("CenterCrop", "center_crop", { h, w }, text_of(o.size))
end

--- A border around a picture.
---@param ... any padding, fill = 0, padding_mode = "constant" ("edge", "reflect", "symmetric")
function M.Pad(...)
  local o = list_arguments("Pad", {
    { "padding", options.required, "number|table" }, fill, padding_mode,
  }, ...)
  local l, t, r, b = padding_values("Pad", o.padding)
  return new_stage("Pad", "pad", with_fill("Pad", { l, t, r, b, PADDING_MODES[o.padding_mode] },
    o.fill), ("%s, fill = %s, padding_mode = %s"):format(text_of(o.padding), text_of(o.fill),
    o.padding_mode))
end

--- A part of the picture at a random place, after padding.
---@param ... any size, padding = 0, pad_if_needed = false, fill = 0, padding_mode = "constant"
function M.RandomCrop(...)
  local o = list_arguments("RandomCrop", {
    { "size", options.required, "number|table" }, { "padding", 0, "number|table" },
    { "pad_if_needed", false, "boolean" }, fill, padding_mode,
  }, ...)
  local h, w = size_pair("RandomCrop", o.size)
  local l, t, r, b = padding_values("RandomCrop", o.padding)
  return new_stage("RandomCrop", "random_crop", with_fill("RandomCrop", { h, w, l, t, r, b,
    PADDING_MODES[o.padding_mode], o.pad_if_needed and 1 or 0 }, o.fill),
    ("%s, padding = %s"):format(text_of(o.size), text_of(o.padding)))
end

local function flip(name, stage)
  return function(...)
    local o = options.arguments(name, { { "p", 0.5, "number", min = 0, max = 1 } }, ...)
    return new_stage(name, stage, { o.p }, "p = " .. text_of(o.p))
  end
end

--- Mirrors left and right with probability p = 0.5.
M.RandomHorizontalFlip = flip("RandomHorizontalFlip", "hflip")
--- Mirrors top and bottom with probability p = 0.5.
M.RandomVerticalFlip = flip("RandomVerticalFlip", "vflip")

--- A random part of the picture with a random ratio of its sides, resized.
---@param ... any size, scale = {0.08, 1} of the area, ratio = {3/4, 4/3} of width to height,
---  interpolation = "bilinear", antialias = true
function M.RandomResizedCrop(...)
  local name = "RandomResizedCrop"
  local o = list_arguments(name, {
    { "size", options.required, "number|table" }, { "scale", { 0.08, 1 }, "table" },
    { "ratio", { 3 / 4, 4 / 3 }, "table" }, interpolation, antialias,
  }, ...)
  local h, w = size_pair(name, o.size)
  local s0, s1 = range_pair(name, "scale", o.scale)
  local r0, r1 = range_pair(name, "ratio", o.ratio)
  return new_stage(name, "random_resized_crop", { h, w, INTERPOLATIONS[o.interpolation],
    o.antialias and 1 or 0, s0, s1, r0, r1 }, ("%s, scale = %s, ratio = %s"):format(
    text_of(o.size), text_of(o.scale), text_of(o.ratio)))
end

--- Turns the picture about its middle, counter-clockwise; its size stays.
---@param ... any degrees (a number d stands for {-d, d}), interpolation = "nearest" ("bilinear"),
---  fill = 0
function M.RandomRotation(...)
  local name = "RandomRotation"
  local o = list_arguments(name, {
    { "degrees", options.required, "number|table" },
    { "interpolation", "nearest", "string", choices = { "nearest", "bilinear" } }, fill,
  }, ...)
  local d = o.degrees
  if type(d) == "number" then
    if d < 0 then
      options.fail(name, ("degrees is %s; must be 0 or more, or {smallest, largest}")
        :format(text_of(d)))
    end
    d = { -d, d }
  end
  local low, high = range_pair(name, "degrees", d)
  return new_stage(name, "rotation", with_fill(name, { low, high,
    INTERPOLATIONS[o.interpolation] }, o.fill), ("degrees = %s, interpolation = %s"):format(
    text_of(d), o.interpolation))
end

-- Colours ---------------------------------------------------------------------------------------------

local function jitter_range(name, v, centre, low, high)
  if type(v) == "number" then
    if v < 0 or high and v > high then
      options.fail("ColorJitter", ("%s is %s; must be %s"):format(name, text_of(v),
        high and ("in [0, %s]"):format(text_of(high)) or "0 or more"))
    end
    return math.max(centre - v, low), centre + v
  end
  local a, b = range_pair("ColorJitter", name, v)
  if a < low or high and b > high then
    options.fail("ColorJitter", ("%s is %s; must be in [%s, %s]"):format(name, text_of(v),
      text_of(low), high and text_of(high) or "inf"))
  end
  return a, b
end

--- Changes brightness, contrast, saturation and hue by random factors, in random order. A number v
--- stands for factors in {1 - v, 1 + v} (hue: {-v, v}).
---@param ... any brightness = 0, contrast = 0, saturation = 0, hue = 0
function M.ColorJitter(...)
  local o = options.arguments("ColorJitter", {
    { "brightness", 0, "number|table" }, { "contrast", 0, "number|table" },
    { "saturation", 0, "number|table" }, { "hue", 0, "number|table" },
  }, ...)
  local values, shown = {}, {}
  for _, name in ipairs { "brightness", "contrast", "saturation", "hue" } do
    local low, high
    if name == "hue" then
      low, high = jitter_range(name, o.hue, 0, -0.5, 0.5)
    else
      low, high = jitter_range(name, o[name], 1, 0)
    end
    values[#values + 1] = low
    values[#values + 1] = high
    shown[#shown + 1] = ("%s = %s"):format(name, text_of(o[name]))
  end
  return new_stage("ColorJitter", "color_jitter", values, table.concat(shown, ", "))
end

--- The gray picture, in one channel or three equal ones.
---@param ... integer num_output_channels = 1
function M.Grayscale(...)
  local o = options.arguments("Grayscale", {
    { "num_output_channels", 1, "integer", choices = { 1, 3 } },
  }, ...)
  return new_stage("Grayscale", "grayscale", { o.num_output_channels },
    tostring(o.num_output_channels))
end

--- Overwrites a random rectangle with probability p. Comes behind ToTensor.
---@param ... any p = 0.5, scale = {0.02, 0.33} of the area, ratio = {0.3, 3.3} of height to width,
---  value = 0, one for each channel, or "random"
function M.RandomErasing(...)
  local name = "RandomErasing"
  local o = options.arguments(name, {
    { "p", 0.5, "number", min = 0, max = 1 }, { "scale", { 0.02, 0.33 }, "table" },
    { "ratio", { 0.3, 3.3 }, "table" }, { "value", 0, "number|table|string" },
  }, ...)
  local normal = o.value == "random"
  if type(o.value) == "string" and not normal then
    options.fail(name, ('value is "%s"; expected a number, one for each channel or "random"')
      :format(o.value))
  end
  local s0, s1 = range_pair(name, "scale", o.scale)
  local r0, r1 = range_pair(name, "ratio", o.ratio)
  return new_stage(name, "erasing", with_fill(name, { o.p, s0, s1, r0, r1, normal and 1 or 0 },
    normal and 0 or o.value, "value"), ("p = %s, scale = %s, ratio = %s, value = %s"):format(
    text_of(o.p), text_of(o.scale), text_of(o.ratio), text_of(o.value)))
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

--- The number of transforms in a list that draw random numbers, as far as the C library knows.
---@param list table
---@return integer
function M.count_random(list)
  local n = 0
  for _, stage in ipairs(list) do
    if getmetatable(stage) == Stage then
      stage.pipeline = stage.pipeline or M.pipeline { stage }
      n = n + C.mascon_pipeline_random(stage.pipeline)
    end
  end
  return n
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

return options.name_nearest("transforms", M)
